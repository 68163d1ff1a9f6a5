"""What stands where cards would: steps, and beside them a code for a telephone."""

from __future__ import annotations

from edge.kiosk import qr
from edge.kiosk.ink import Frame, Line, Span, beside, centred, fill, sized, wrapped
from edge.kiosk.look import Look
from edge.kiosk.views.setup import SetupView

_TEXT_MIN = 36
_MARGIN = 2


def setup(view: SetupView, look: Look, width: int, height: int) -> Frame:
    """Return the steps in exactly this size, with the code where it fits and can be drawn."""
    drawn = qr.code(view.code) if view.code and look.signs.blocks else ()
    if not drawn or len(drawn) > height or width - len(drawn[0]) - _MARGIN < _TEXT_MIN:
        return notices(view.steps, look, width, height)
    ground, ink = look.palette.text, look.palette.code
    left = width - len(drawn[0]) - _MARGIN
    above = (height - len(drawn)) // 2
    right: list[Line] = [()] * above
    right += [(Span(row, ink), Span(" " * _MARGIN, ground)) for row in drawn]
    code = sized(Frame(tuple(right)), width - left, height, ground)
    return beside((_steps(view, look, left, height), code), (left, width - left))


def _steps(view: SetupView, look: Look, width: int, height: int) -> Frame:
    ground = look.palette.text
    lines: list[Line] = []
    for index, step in enumerate((*view.steps, view.caption)):
        shade = look.palette.warn if index == 0 else ground
        indent = len(step) - len(step.lstrip())
        pieces = wrapped(step.strip(), width - 2 * _MARGIN - indent)
        lines += [(Span(" " * (_MARGIN + indent) + piece, shade),) for piece in pieces]
        lines.append(())
    above = max(0, (height - len(lines)) // 2)
    whole = tuple(fill(line, width, ground) for line in ([()] * above + lines))
    return sized(Frame(whole), width, height, ground)


def notices(notices: tuple[str, ...], look: Look, width: int, height: int) -> Frame:
    """Return sentences in the middle, the first one standing out."""
    ink = look.palette.text
    lines: list[Line] = []
    for index, notice in enumerate(notices):
        shade = look.palette.warn if index == 0 else ink
        pieces = wrapped(notice, max(10, width - 4))
        lines += [centred((Span(text, shade),), width, ink) for text in pieces]
        lines.append(())
    above = max(0, (height - len(lines)) // 2)
    return sized(Frame((*((),) * above, *lines)), width, height, ink)
