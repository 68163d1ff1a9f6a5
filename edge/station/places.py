"""Places of the station in words: what is painted on a connector, where an alarm is."""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.protection import Protection

Connector = tuple[str, int]
_LETTERS = 26


class Places:
    """Names of one station at one moment; charge points count by their number, from `01`."""

    def __init__(self, charge_point_nos: Iterable[str], protection: Protection) -> None:
        numbers = sorted(charge_point_nos)
        width = max(2, len(str(len(numbers))))
        self._labels = {no: f"{i:0{width}}" for i, no in enumerate(numbers, start=1)}
        self._zones = {zone.name: (zone.title_zh, zone.title_en) for zone in protection.zones}
        self._devices = {device.name: device for device in protection.devices}
        self._feeds = {output.name: output.connectors for output in protection.outputs}

    def charge_point(self, charge_point_no: str) -> str:
        """Return `03`; the number itself of one that is not ours."""
        return self._labels.get(charge_point_no, charge_point_no)

    def connector(self, connector: Connector) -> str:
        """Return `03-A`."""
        return f"{self.charge_point(connector[0])}-{letter(connector[1])}"

    def zone(self, name: str) -> tuple[str, str]:
        """Return a zone's titles, zh and en; its name where it has none."""
        zh, en = self._zones.get(name, ("", ""))
        return zh or en or name, en or zh or name

    def device(self, name: str) -> tuple[str, str]:
        """Return a device's titles with its zone, zh and en."""
        device = self._devices.get(name)
        if device is None:
            return name, name
        zh, en = device.title_zh or device.title_en or name, device.title_en or device.title_zh
        if not device.zone:
            return zh, en or name
        zone_zh, zone_en = self.zone(device.zone)
        en = en or name
        return (
            zh if zone_zh in zh else f"{zone_zh} {zh}",
            en if zone_en in en else f"{zone_en}: {en}",
        )

    def fed_by(self, outputs: Iterable[str]) -> list[Connector]:
        """Return the connectors that these contactors feed."""
        return [connector for name in outputs for connector in self._feeds.get(name, ())]

    def place(self, subject: str) -> tuple[str, str]:
        """Return where the object of an alarm is, zh and en."""
        kind, _, rest = subject.partition(":")
        match kind:
            case "station":
                return "全站", "Whole station"
            case "charge_point":
                label = self.charge_point(rest)
                return f"{label} 号桩", f"Charge point {label}"
            case "connector":
                number, _, connector_no = rest.rpartition(":")
                if not connector_no.isdigit():
                    return subject, subject
                label, side = self.charge_point(number), letter(int(connector_no))
                return f"{label} 号桩 {side} 枪", f"Connector {label}-{side}"
            case "zone":
                return self.zone(rest)
            case "sensor":
                return self.device(rest.partition("/")[0])
            case "output":
                return f"输出 {rest}", f"Output {rest}"
            case "rule":
                return f"规则 {rest}", f"Rule {rest}"
            case "step":
                return f"保护程序 {rest}", f"Protection step {rest}"
            case "channel":
                return f"安全通道 {rest}", f"Safety channel {rest}"
            case _:
                return subject, subject


def letter(connector_no: int) -> str:
    """Return `A` for connector 1; the number itself beyond `Z`."""
    return chr(64 + connector_no) if 0 < connector_no <= _LETTERS else str(connector_no)
