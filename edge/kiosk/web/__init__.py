"""The screen as a page: each browser gets a screen of its own, drawn by a process here.

The page, its script and its style come from this computer alone. Whoever may open the page may
look and acknowledge, as on site; what needs a PIN on site needs it here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server

SCREENS_MAX = 4
"""Browsers at the same time: each costs a process of about 55 MB."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' ws: wss:; img-src 'self' data:; frame-ancestors 'none'"
)


class WebScreen(Server):
    """Serves our own page in place of the one that the package brings."""

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__(
            command,
            host=host,
            port=port,
            title="Voltwarden",
            templates_path=Path(__file__).resolve().parent,
        )
        self._screens = 0

    async def make_app(self) -> web.Application:
        """Return the server's application."""
        return await self._make_app()

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the command line did."""

    @aiohttp_jinja2.template("page.html")
    async def handle_index(self, request: web.Request) -> dict[str, Any]:
        """Return what the page needs; its addresses are relative, whatever name it is called by."""
        size = request.query.get("fontsize", "16")
        return {"font_size": size if size.isdigit() else "16"}

    async def handle_websocket(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override] # may refuse
        """Open a screen for a page of ours, while there is room."""
        origin = request.headers.get("Origin", "")
        if (origin and urlsplit(origin).netloc != request.host) or not self._is_ours(request):
            raise web.HTTPForbidden(text="a page of somebody else may not open a screen")
        if self._screens >= SCREENS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{SCREENS_MAX} screens are open already")
        self._screens += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self._screens -= 1

    def _is_ours(self, request: web.Request) -> bool:
        """Return whether a page on loopback was asked for by a name of loopback."""
        if self.host not in _LOOPBACK:
            return True
        return urlsplit(f"//{request.host}").hostname in _LOOPBACK


async def _guard(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"


def serve(command: str, host: str, port: int, on_listening: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `on_listening` gets the page's address.

    Raises:
        OSError: The address is taken or not ours.
    """
    listener = socket.create_server((host, port))
    port = listener.getsockname()[1]
    server = WebScreen(command, host, port)

    async def application() -> web.Application:
        app = await server.make_app()
        app.on_response_prepare.append(_guard)
        on_listening(f"http://{host}:{port}/")
        return app

    web.run_app(application(), sock=listener, print=None)
