"""The agent's refusals in the language of the screen."""

from __future__ import annotations

from typing import Any

from edge.kiosk.clean import printable
from edge.kiosk.look import Look, texts


def in_words(answer: dict[str, Any], look: Look) -> str:
    """Return a refusal in words; one whose code is not known here is shown as the agent says it."""
    error, values = str(answer.get("error", "")), answer.get("values", ())
    if not error:
        return look.text("ask.no_agent")
    key = f"error.{answer.get('code', '')}"
    if key not in texts():
        return look.pick(printable(error), printable(error))
    try:
        return look.text(key).format(*(printable(str(value)) for value in values))
    except (IndexError, TypeError):  # of an agent that counts its values otherwise
        return look.pick(printable(error), printable(error))
