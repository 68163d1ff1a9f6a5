"""The lines' place in a station that is tested alone: coils that answer, or do not, as told."""

from __future__ import annotations

from collections.abc import Callable

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.profile import Profile, parse_profile
from edge.devices.sensors.reports import DeviceAnswering, OutputRead, PointSampled
from shared.contracts import protection as p
from tests.fakes.station_site import CP, CP2, Site

_HEAD = """
model = "{model}"
maker = "tests"
title_zh = "测试"
title_en = "test"
[source]
title = "none"
url = "https://example.com"
page = "1"
"""
_POINT = """
[[point]]
name = "{name}"
quantity = "{quantity}"
table = "{table}"
address = {address}
type = "bit"
safety = {safety}
writable = {writable}
title_zh = "点"
title_en = "point"
"""


def _profile(model: str, *points: tuple[str, str, bool, bool]) -> Profile:
    text = _HEAD.format(model=model)
    for address, (name, quantity, safety, writable) in enumerate(points):
        text += _POINT.format(
            name=name, quantity=quantity, address=address, safety=str(safety).lower(),
            writable=str(writable).lower(), table="coil" if writable else "discrete",
        )  # fmt: skip
    return parse_profile(text, model)


PROFILES = {
    profile.model: profile
    for profile in (
        _profile("detector", ("smoke", "smoke", True, False)),
        _profile("relay", ("coil", "output_on", False, True), ("back", "output_on", False, False)),
    )
}


def output(name: str, kind: p.OutputKind = p.OutputKind.SIREN, **more: object) -> p.Output:
    """Return an output on the relay of its own name, with read-back unless said otherwise."""
    values = {"device": f"relay-{name}", "point": "coil", "read_back": "back", **more}
    return p.Output(name=name, kind=kind, **values)


def document(*outputs: p.Output, **more: object) -> p.Protection:
    """Zone A has the first charge point and two detectors, zone B the other one."""
    detectors = tuple(
        p.Device(name=name, line="bus", unit_id=number, profile="detector", zone=zone)
        for number, (name, zone) in enumerate((("d1", "A"), ("d2", "A"), ("d3", "B")), start=1)
    )
    relays = tuple(
        p.Device(name=each.device, line="bus", unit_id=number, profile="relay")
        for number, each in enumerate(outputs, start=10)
        if each.device
    )
    values = {
        "zones": (
            p.Zone(name="A", connectors=((CP, 1), (CP, 2))),
            p.Zone(name="B", connectors=((CP2, 1), (CP2, 2))),
        ),
        "devices": (*detectors, *relays),
        "outputs": outputs,
        **more,
    }
    return p.Protection(**values)


class Field:
    """Coils of one station; put it in with `install`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.coils: dict[str, bool] = {}
        self.writes: list[tuple[str, bool]] = []
        self.order: list[str] = []
        self.dead: set[str] = set()
        self.stuck: dict[str, bool] = {}
        self.read_back: dict[str, str] = {}
        self._known: set[str] = set()

    def install(self, protection: p.Protection) -> None:
        station = self.site.station
        station.profiles = PROFILES
        station.safety._profiles = PROFILES  # as given at the start of an agent
        station.safety.hands.write = self.write
        station.on_protection(protection)
        self.outputs = protection.outputs
        for device in dict.fromkeys(each.device for each in self.outputs if each.device):
            if device not in self._known:
                self._known.add(device)
                self.answering(device, True)

    def write(self, name: str, on: bool, done: Callable[[bool, Moment], None]) -> None:
        self.writes.append((name, on))
        self.order.append(name)
        if name in self.dead:
            done(False, self.site.at())
            return
        self.coils[name] = on
        done(True, self.site.at())

    def poll(self) -> None:
        """Read every output back once, and let a tick pass."""
        for each in self.outputs:
            if each.read_back:
                on = self.stuck.get(each.name, self.coils.get(each.name, False))
                answer = None if each.name in self.dead else on
                self.site.bus.publish(OutputRead(self.site.at(), each.name, answer))
        self.site.station.safety.tick(self.site.at())

    def pass_s(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass, ten polls a second."""
        for _ in range(round(seconds * 10)):
            self.site.clock.advance(0.1)
            each()
            self.poll()

    def point(
        self,
        device: str,
        value: float | None,
        quality: p.Quality = p.Quality.GOOD,
        quantity: p.Quantity = p.Quantity.SMOKE,
        point: str = "smoke",
    ) -> None:
        quality = p.Quality.NO_ANSWER if value is None and quality is p.Quality.GOOD else quality
        self.site.bus.publish(PointSampled(self.site.at(), device, point, quantity, value, quality))

    def calm(self) -> None:
        """All detectors see nothing."""
        for device in ("d1", "d2", "d3"):
            self.point(device, 0.0)

    def answering(self, device: str, answering: bool) -> None:
        self.site.bus.publish(DeviceAnswering(self.site.at(), device, answering))
