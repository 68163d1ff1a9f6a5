"""What a person breaks while the demo runs, and what brings it up again.

A cut link stays cut until it is mended. The broker comes back by itself after a few seconds, a
station's agent at once, on the same data; also when it ended and nobody asked for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ops.demo.children import DemoError
from ops.demo.stage import Say, StationProcesses
from ops.embedded import EmbeddedError, EmbeddedServers

logger = logging.getLogger(__name__)

BROKER_DOWN_S = 3.0
_AGAIN_S = 2.0


class Outages:
    """Breaks things, knows what is down and since when. One event loop; times are monotonic."""

    def __init__(
        self,
        servers: EmbeddedServers,
        stations: list[StationProcesses],
        say: Say,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare only. `say` gets a line for everything that happens."""
        self._servers = servers
        self._stations = stations
        self._say = say
        self._now_s = now_s
        self._down: dict[str, float] = {}
        self._asked: set[str] = set()
        self._at_a_link = asyncio.Lock()
        self._watches: list[asyncio.Task[None]] = []

    @property
    def down(self) -> dict[str, int]:
        """What is down, in both languages, and for how many seconds."""
        now_s = self._now_s()
        return {what: int(now_s - since_s) for what, since_s in self._down.items()}

    def watch(self) -> None:
        """From now on an agent that ends is started again; `close` ends that."""
        self._watches = [
            asyncio.create_task(self._keep_up(station), name=f"keep up {station.agent.name}")
            for station in self._stations
        ]

    async def close(self) -> None:
        """Leave agents that end alone."""
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        self._watches = []

    async def cut_or_mend(self, station: StationProcesses) -> None:
        """Cut the line between a station and the broker, or mend it if it is cut."""
        async with self._at_a_link:
            if station.line.whole:
                await self._cut(station)
            else:
                await self._mend(station)

    async def _cut(self, station: StationProcesses) -> None:
        self._down[_link(station)] = self._now_s()
        await station.line.cut()
        number = station.plan.station_no
        self._say(f"the link of {number} is cut, cars go on charging  线路已断开, 充电照常")

    async def _mend(self, station: StationProcesses) -> None:
        await station.line.mend()
        lasted_s = self._up(_link(station))
        number = station.plan.station_no
        self._say(f"the link of {number} is mended after {lasted_s:.0f} s  线路已恢复")

    async def kill_broker(self) -> None:
        """End the broker with `kill -9`, and start it again after a few seconds."""
        name = "broker 消息服务器"
        if name in self._down:
            self._say("the broker is down already  消息服务器已停止")
            return
        self._down[name] = self._now_s()
        self._servers.kill_broker()
        self._say(f"the broker is killed (kill -9), for {BROKER_DOWN_S:.0f} s  消息服务器已被杀掉")
        await asyncio.sleep(BROKER_DOWN_S)
        await self._start_broker()
        self._say(f"the broker is up again after {self._up(name):.1f} s  消息服务器已恢复")

    async def kill_agent(self, station: StationProcesses) -> None:
        """End a station's agent with `kill -9`; what watches it starts it again."""
        number = station.plan.station_no
        if not station.agent.running or _agent(station) in self._down:
            self._say(f"the agent of {number} is down already  站端程序已停止")
            return
        self._asked.add(number)
        self._say(f"the agent of {number} is killed (kill -9)  站端程序已被杀掉")
        await station.agent.kill()

    async def _start_broker(self) -> None:
        while True:
            starting = asyncio.create_task(asyncio.to_thread(self._servers.start_broker))
            try:
                await asyncio.shield(starting)
                return
            except EmbeddedError as error:
                self._say(f"{error}; again in {_AGAIN_S:.0f} s")
            except asyncio.CancelledError:
                # A thread cannot be cancelled: what it starts must be there for who ends it.
                await asyncio.gather(starting, return_exceptions=True)
                raise
            await asyncio.sleep(_AGAIN_S)

    async def _keep_up(self, station: StationProcesses) -> None:
        number = station.plan.station_no
        while True:
            code = await station.agent.process.wait()
            self._down.setdefault(_agent(station), self._now_s())
            if number not in self._asked:
                self._say(
                    f"the agent of {number} ended by itself (code {code}) and is started again; "
                    f"see {station.agent.log}  站端程序自行退出, 正在重新启动"
                )
            self._asked.discard(number)
            await self._start_again(station)

    async def _start_again(self, station: StationProcesses) -> None:
        number = station.plan.station_no
        try:
            await station.start_agent()
        except (DemoError, OSError) as error:
            logger.info("agent did not start station=%s", number, exc_info=error)
            self._say(f"{error}; again in {_AGAIN_S:.0f} s")
            await station.agent.end()
            self._asked.add(number)
            await asyncio.sleep(_AGAIN_S)
            return
        lasted_s = self._up(_agent(station))
        self._say(
            f"the agent of {number} is up again after {lasted_s:.1f} s, on the same data  "
            "站端程序已恢复, 数据未变"
        )

    def _up(self, name: str) -> float:
        """Note that it is up; returns for how long it was down, in seconds."""
        return self._now_s() - self._down.pop(name)


def _link(station: StationProcesses) -> str:
    return f"link 线路 {station.plan.station_no}"


def _agent(station: StationProcesses) -> str:
    return f"agent 站端程序 {station.plan.station_no}"
