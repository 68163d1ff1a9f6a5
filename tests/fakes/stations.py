"""Stations as an agent shows them: calm, burning, just started, cut off, and large."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import structs

from edge.view import (
    AlarmView,
    ChannelView,
    ChargePointView,
    ConnectorView,
    InstructionView,
    OutputView,
    PointView,
    StationView,
    SystemView,
)
from shared.contracts.protection import Contact, OutputKind, Quality, Quantity, Site
from shared.contracts.words import ConnectorStatus, Severity

AT_MS = int(datetime(2026, 11, 22, 11, 26, 28, tzinfo=UTC).timestamp() * 1000)
SMOKE_ID = "0193a000-0000-7000-8000-000000000001"
HOT_ID = "0193a000-0000-7000-8000-000000000002"
DOOR_ID = "0193a000-0000-7000-8000-000000000003"

_SITE = Site(
    name_zh="示范一号充电站",
    name_en="Demo Station One",
    address_zh="示范路 1 号, 东门进入",
    address_en="1 Demo Road, enter by the east gate",
    shut_off_zh="箱变东侧红色箱, 旋钮向左",
    shut_off_en="Red box, east side of the transformer, turn left",
    extinguishers_zh="01号桩旁, 06号桩旁",
    extinguishers_en="beside No. 01 and No. 06",
    contacts=(
        Contact(name_zh="值班站长", name_en="Station manager", phone="138 0000 0001"),
        Contact(name_zh="消防", name_en="Fire brigade", phone="119"),
    ),
    power_limit_w=1_440_000,
)
_CYCLE = (
    (ConnectorStatus.CHARGING, 85),
    (ConnectorStatus.FINISHED, 100),
    (ConnectorStatus.CHARGING, 33),
    (ConnectorStatus.IDLE, None),
    (ConnectorStatus.PLUGGED, 43),
    (ConnectorStatus.FAULT, None),
    (ConnectorStatus.IDLE, None),
    (ConnectorStatus.OFFLINE, None),
)


def connector(point: int, number: int, status: ConnectorStatus, soc: int | None) -> ConnectorView:
    """Return one connector."""
    charging = status is ConnectorStatus.CHARGING
    return ConnectorView(
        charge_point_no=f"320106000192{point:02d}",
        connector_no=number,
        label=f"{point:02d}-{'ABCD'[number - 1]}",
        status=status,
        age_s=1.5,
        power_w=96_300 if charging else 0,
        voltage_dv=4012 if charging else 0,
        current_da=2400 if charging else 0,
        energy_dwh=183_456 if charging else None,
        amount_fen=2741 if charging else None,
        soc_percent=soc,
        charged_min=31 if charging else None,
        remaining_min=19 if charging else None,
        battery_temp_max_c=34 if charging else None,
        cable_temp_c=41 if charging else None,
        transaction_no=f"320106000192{point:02d}01261122190000{number:04d}" if charging else "",
        vin="LVWDEM0000000042X" if soc is not None else "",
    )


def calm(charge_points: int = 12, beat: int = 1) -> StationView:
    """Return a station where nothing is wrong with safety."""
    points = []
    for point in range(1, charge_points + 1):
        states = [_CYCLE[(point * 3 + number) % len(_CYCLE)] for number in (1, 2)]
        points.append(
            ChargePointView(
                charge_point_no=f"320106000192{point:02d}",
                label=f"{point:02d}",
                online=True,
                connectors=tuple(
                    connector(point, number, *state) for number, state in enumerate(states, 1)
                ),
                firmware="V4.1.50",
            )
        )
    return StationView(
        beat=beat,
        at_ms=AT_MS,
        station_no="S-0001",
        zone_name="Asia/Shanghai",
        site=_SITE,
        charge_points=tuple(points),
        alarms=(),
        points=_points(),
        outputs=_outputs(),
        channels=_channels(),
        instructions=(),
        system=SystemView(
            version="0.1.0",
            started_ms=AT_MS - 86_400_000,
            hq_configured=True,
            hq_connected=True,
            disk_free_bytes=52_000_000_000,
            clock_offset_ms=12,
            protection="hq 7",
            protection_sha256="0f" * 32,
            last_drill_ms=AT_MS - 20 * 86_400_000,
            pins_set=True,
            rss_bytes=61_000_000,
        ),
        power_w=395_000,
        power_limit_w=1_440_000,
    )


def _point(name: str, zh: str, en: str, quantity: Quantity, value: float) -> PointView:
    return PointView(
        device=name,
        point="value",
        title_zh=zh,
        title_en=en,
        quantity=quantity,
        value=value,
        quality=Quality.GOOD,
        age_s=0.4,
        is_safety=quantity in {Quantity.SMOKE, Quantity.WATER},
    )


def _points() -> tuple[PointView, ...]:
    silent = structs.replace(
        _point("meter", "电表", "Meter", Quantity.POWER_W, 0),
        value=None,
        quality=Quality.NO_ANSWER,
        age_s=75.0,
    )
    return (
        _point("smoke1", "一区烟感", "Smoke zone 1", Quantity.SMOKE, 0),
        _point("water1", "电缆沟水浸", "Cable pit", Quantity.WATER, 0),
        _point("room", "温度", "Temperature", Quantity.TEMPERATURE_C, 26.4),
        _point("room2", "湿度", "Humidity", Quantity.HUMIDITY_PERCENT, 48),
        _point("oil", "箱变油温", "Oil", Quantity.OIL_TEMPERATURE_C, 61.0),
        _point("door", "箱变门", "Transformer door", Quantity.DOOR_OPEN, 0),
        silent,
    )


def _outputs() -> tuple[OutputView, ...]:
    return (
        OutputView(name="siren1", kind=OutputKind.SIREN, ordered_on=False, reads_on=False),
        OutputView(
            name="siren2",
            kind=OutputKind.SIREN,
            ordered_on=True,
            reads_on=False,
            fault="reads_off",
        ),
        OutputView(name="feed1", kind=OutputKind.CONTACTOR, ordered_on=False, reads_on=False),
        OutputView(name="dog", kind=OutputKind.WATCHDOG, ordered_on=True, reads_on=None),
    )


def _channels() -> tuple[ChannelView, ...]:
    return (
        ChannelView(name="line1", title_zh="一号总线", title_en="Line 1", ok=True, age_s=0.1),
        ChannelView(
            name="channel:speaker", title_zh="扬声器", title_en="Loudspeaker", ok=True, age_s=3.0
        ),
    )


def smoke(**changes: object) -> AlarmView:
    """Return a smoke alarm that tripped a zone."""
    alarm = AlarmView(
        alarm_id=SMOKE_ID,
        code="smoke",
        severity=Severity.CRITICAL,
        object="zone/one",
        place_zh="一区",
        place_en="Zone 1",
        title_zh="烟雾",
        title_en="Smoke",
        advice_zh="已停止本区充电并断电。人员撤离, 拨打 119。",
        advice_en="Charging in this zone was stopped and isolated. Leave, call the fire brigade.",
        raised_ms=AT_MS - 5000,
        stopped=("01-A", "01-B", "02-A"),
        isolated=("01-A", "01-B", "02-A"),
        trip_stop_ms=3.2,
        trip_siren_ms=8.9,
        trip_zero_ms=1480,
        escalates_in_s=None if changes.get("drill") else 55,
    )
    return structs.replace(alarm, **changes)


def hot(**changes: object) -> AlarmView:
    """Return the alarm of a battery that is too hot."""
    alarm = AlarmView(
        alarm_id=HOT_ID,
        code="battery_over_temperature",
        severity=Severity.CRITICAL,
        object="32010600019203-1",
        place_zh="03号桩A枪",
        place_en="No. 03 A",
        title_zh="电池过温 62.4 °C",
        title_en="Battery too hot, 62.4 °C",
        advice_zh="已停止充电。请远离车辆, 确认温度下降后再处理。",
        advice_en="Charging was stopped. Keep away from the vehicle until it has cooled down.",
        raised_ms=AT_MS - 3000,
        value="62.4 °C",
        limit="55 °C",
        stopped=("03-A",),
        trip_stop_ms=0.8,
        trip_zero_ms=2100,
        escalates_in_s=57,
    )
    return structs.replace(alarm, **changes)


def door(**changes: object) -> AlarmView:
    """Return an alarm that is not critical."""
    alarm = AlarmView(
        alarm_id=DOOR_ID,
        code="transformer_door_open",
        severity=Severity.MAJOR,
        object="door",
        place_zh="箱变",
        place_en="Transformer",
        title_zh="箱变门打开",
        title_en="Transformer door open",
        advice_zh="派人关门。",
        advice_en="Have it shut.",
        raised_ms=AT_MS - 60_000,
    )
    return structs.replace(alarm, **changes)


def burning(*alarms: AlarmView, charge_points: int = 12) -> StationView:
    """Return a station with alarms; the third charge point's first connector alarms."""
    view = calm(charge_points)
    points = list(view.charge_points)
    third = points[2]
    hit = structs.replace(
        third.connectors[0],
        status=ConnectorStatus.ALARM,
        blocked_by=("battery_over_temperature",),
        isolated=True,
        soc_percent=71,
        vin="LVWDEM0000000042X",
    )
    points[2] = structs.replace(third, connectors=(hit, *third.connectors[1:]))
    siren, *others = view.outputs
    siren = structs.replace(siren, ordered_on=True, reads_on=True)
    return structs.replace(
        view,
        charge_points=tuple(points),
        alarms=alarms or (smoke(), hot()),
        outputs=(siren, *others),
        sound="fire",
    )


def starting() -> StationView:
    """Return a station whose charge points are still to connect."""
    view = calm()
    points = tuple(
        structs.replace(
            entry,
            online=index < 3,
            connectors=tuple(
                connector(index + 1, number, ConnectorStatus.UNKNOWN, None) for number in (1, 2)
            ),
        )
        for index, entry in enumerate(view.charge_points)
    )
    return structs.replace(view, charge_points=points, starting_up=True, power_w=0)


def empty() -> StationView:
    """Return a station without anything."""
    view = calm()
    system = structs.replace(view.system, listens_on=("192.168.10.2:8768",))
    return structs.replace(view, charge_points=(), points=(), outputs=(), power_w=0, system=system)


def degraded() -> StationView:
    """Return a station whose HQ is away and whose smoke line is silent."""
    view = calm()
    silent = ChannelView(
        name="line1", title_zh="一号总线", title_en="Line 1", ok=False, reason="no_answer"
    )
    system = structs.replace(
        view.system, hq_connected=False, hq_last_error="timed out", backlog_records=128
    )
    return structs.replace(
        view, channels=(silent,), system=system, starts_refused="protection_degraded"
    )


def instructed() -> StationView:
    """Return a station that HQ asks for something."""
    instruction = InstructionView(
        instruction_id="0193a000-0000-7000-8000-000000000009",
        text_zh="请检查 06号桩的急停按钮, 确认后按 A。",
        text_en="Please check the emergency stop of No. 06, then press A.",
        by="dispatcher Wang",
        sent_ms=AT_MS - 30_000,
    )
    return structs.replace(calm(), instructions=(instruction,))
