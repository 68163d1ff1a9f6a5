"""A socket that speaks as the agent does, for states that a real agent is hard to bring into."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from edge.view import StationView

PIN = "2468"
BEAT_S = 0.2
_WITH_PIN = frozenset({"silence", "shelve", "stop", "reset", "drill"})


class FakeAgent:
    """Streams `view` with a rising beat, and carries out what is asked of it."""

    def __init__(self, view: StationView) -> None:
        self.view = view
        self.requests: list[dict[str, Any]] = []
        self.silent = False
        """It hangs: connected, but nothing comes."""
        self.refusal = ""
        """What it answers to every request but watching."""
        self.last_beat = view.beat
        """The last one that it sent."""
        self._writers: set[asyncio.StreamWriter] = set()

    def show(self, view: StationView) -> None:
        """Send another view at once."""
        self.view = view
        self._send()

    def _send(self) -> None:
        if self.silent:
            return
        self.last_beat += 1
        line = msgspec.json.encode(structs.replace(self.view, beat=self.last_beat)) + b"\n"
        for writer in self._writers:
            writer.write(line)

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            self._send()
            await asyncio.sleep(BEAT_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while line := await reader.readline():
                request = json.loads(line)
                if request["do"] == "watch":
                    self._writers.add(writer)
                    self._send()
                else:
                    writer.write(json.dumps(self._answer(request)).encode() + b"\n")
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def cut(self) -> None:
        """Close all connections."""
        for writer in list(self._writers):
            writer.close()
        self._writers.clear()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if self.refusal:
            return {"ok": False, "error": self.refusal}
        if request["do"] in _WITH_PIN and request.get("pin") != PIN:
            words = "pin: wrong, 4 tries left"
            return {"ok": False, "error": words, "code": "pin_wrong", "values": ["4"]}
        if request["do"] == "trend":
            return {"ok": True, "steps": self._steps()}
        change = getattr(self, f"_{request['do']}", None)
        if change is not None:
            self.show(change(request))
        return {"ok": True}

    def _steps(self) -> list[list[float]]:
        start_ms = self.view.at_ms - 5 * 3_600_000
        return [
            [start_ms + step * 180_000, 20 + step % 20, 19 + step % 20, 22 + step % 20]
            for step in range(100)
        ]

    def _alarm(self, request: dict[str, Any], **changes: Any) -> StationView:
        alarms = tuple(
            structs.replace(alarm, **changes) if alarm.alarm_id == request["alarm_id"] else alarm
            for alarm in self.view.alarms
        )
        return structs.replace(self.view, alarms=alarms)

    def _acknowledge(self, request: dict[str, Any]) -> StationView:
        return self._alarm(request, acknowledged_by=request["by"], acknowledged_ms=self.view.at_ms)

    def _silence(self, request: dict[str, Any]) -> StationView:
        return self._alarm(request, silenced=True)

    def _instruction(self, request: dict[str, Any]) -> StationView:
        left = tuple(
            entry
            for entry in self.view.instructions
            if entry.instruction_id != request["instruction_id"]
        )
        return structs.replace(self.view, instructions=left)

    def _drill(self, _request: dict[str, Any]) -> StationView:
        return structs.replace(self.view, drill_running=True)


@asynccontextmanager
async def serving(path: Path, view: StationView) -> AsyncIterator[FakeAgent]:
    """Serve a view on a socket."""
    agent = FakeAgent(view)
    server = await asyncio.start_unix_server(agent.serve, path)
    beating = asyncio.create_task(agent.beat())
    try:
        yield agent
    finally:
        beating.cancel()
        agent.cut()
        server.close()
