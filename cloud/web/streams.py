"""Event streams: how many viewers a process lets in, and what every stream sends."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from cloud.core.errors import UnavailableError

HEARTBEAT_S = 5
STREAM_S = 300
"""After so long a stream ends and is opened anew, so that whoever was locked out sees no more."""
VIEWERS_MAX = 500
OPENED = b": open\nretry: 2000\n\n"
BEAT = b"event: beat\ndata: {}\n\n"


class _Stream(StreamingResponse):
    """A stream whose viewer counts until it ends, even one who leaves before it begins."""

    def __init__(self, events: AsyncIterator[bytes], state: State) -> None:
        super().__init__(
            events,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._state.viewers -= 1


def stream(request: Request, events: AsyncIterator[bytes]) -> StreamingResponse:
    """Return an answer that streams events to one more viewer. Raises UnavailableError."""
    state = request.app.state
    if state.viewers >= VIEWERS_MAX:
        raise UnavailableError("too many viewers", retry_after_s=10)
    # Counted where it was checked: many who come at once are not let in together.
    state.viewers += 1
    return _Stream(events, state)
