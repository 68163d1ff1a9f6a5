"""What a station without charge points tells whoever sets it up, and gives a telephone to keep."""

from __future__ import annotations

from dataclasses import dataclass

from edge.kiosk.look import Look
from edge.view import StationView

_STEPS = (1, 2, 3, 4)
PROTOCOL = "YKC 1.6"


@dataclass(frozen=True)
class SetupView:
    """Steps, the first a title; `code` is what the QR code beside them holds, "" for none."""

    steps: tuple[str, ...]
    code: str = ""
    caption: str = ""


def setup(view: StationView, look: Look, guide: str = "") -> SetupView | None:
    """Return what to do first, None once there are charge points.

    `guide` is the address of an installation guide; without one the code holds what has to be
    typed into a charge point's menu, far from this screen.
    """
    if view.charge_points:
        return None
    places = view.system.listens_on
    where = look.text("setup.where", address=", ".join(places)) if places else ""
    steps = [look.text(f"setup.step_{step}") for step in _STEPS]
    if where:
        steps.insert(2, where)
    if guide:
        return SetupView(tuple(steps), guide, look.text("setup.guide"))
    if not places:
        return SetupView(tuple(steps))
    code = f"Voltwarden {view.station_no} {PROTOCOL} {places[0]}"
    return SetupView(tuple(steps), code, look.text("setup.code"))
