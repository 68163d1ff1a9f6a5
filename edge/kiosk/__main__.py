"""The kiosk as a program of its own: small, because nothing of the agent is loaded."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from edge.kiosk.look import Language
from edge.kiosk.terminal import can_draw, look_for
from shared.clock import SystemClock

_AUTO = "auto"
_UNUSABLE = 2
_NO_TERMINAL = (
    "vw edge kiosk: needs a terminal that can place characters; TERM is not set or dumb, or this "
    "is a pipe. `vw edge kiosk-web` serves it as a page, `vw edge state` prints text\n"
    "vw edge kiosk: 需要可定位光标的终端; 用 vw edge kiosk-web 打开网页, 或 vw edge state 查看文本"
)


def main(arguments: list[str] | None = None) -> int:
    """Run until the terminal closes."""
    options = _parser().parse_args(arguments)
    if not can_draw(os.environ, is_terminal=sys.stdin.isatty() and sys.stderr.isatty()):
        print(_NO_TERMINAL, file=sys.stderr)  # noqa: T201 - nothing else is there to say it on
        return _UNUSABLE
    from edge.kiosk.app import KioskApp

    # Whatever is logged would be drawn over the screen.
    logging.basicConfig(filename=options.log or os.devnull, level=logging.INFO)
    language = Language.ZH if options.language == _AUTO else Language(options.language)
    app = KioskApp(
        options.socket,
        SystemClock(),
        look=look_for(os.environ, sys.stdout.encoding or "", language),
        name=options.name,
        alternate=options.language == _AUTO,
        may_quit=options.may_quit,
        guide=options.guide,
    )
    app.run()
    return app.return_code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vw edge kiosk", description="The station's screen.")
    parser.add_argument("--socket", type=Path, required=True, help="DATA_DIR/agent.sock")
    parser.add_argument("--language", choices=("zh", "en", _AUTO), default=_AUTO)
    parser.add_argument("--name", default="screen", help="who signs acknowledgements")
    parser.add_argument("--may-quit", action="store_true", help="Ctrl-Q ends the program")
    parser.add_argument("--guide", default="", help="address of an installation guide")
    parser.add_argument("--log", type=Path, help="a file for its own messages")
    return parser


if __name__ == "__main__":
    sys.exit(main())
