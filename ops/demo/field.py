"""What protects a station of the demo: its sensors, sirens and contactors, and who watches what.

Pure data: HQ publishes it to the station, and the simulator of the sensors plays it.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from msgspec import structs

from ops.demo.world import SCALE, StationPlan
from shared.contracts.protection import (
    AnyRule,
    Contact,
    Device,
    Output,
    OutputKind,
    Protection,
    Quantity,
    Rate,
    Site,
    Zone,
)
from shared.protection import BUILT_IN_RULES

LINE = "field"
ZONE_A, ZONE_B, TRANSFORMER = "A", "B", "transformer"
SMOKE_DETECTOR = {ZONE_A: "smoke-a", ZONE_B: "smoke-b"}
SIREN = {ZONE_A: "siren-a", ZONE_B: "siren-b"}
_RELAYS, _CONTACTORS = "relays", "contactors"
_RELAY_MODEL = "waveshare-relay-d"


def connectors_of(plan: StationPlan, zone: str) -> tuple[tuple[str, int], ...]:
    """Return the connectors of a zone: the first half of the charge points stands in A."""
    half = len(plan.charge_point_nos) // 2
    numbers = {ZONE_A: plan.charge_point_nos[:half], ZONE_B: plan.charge_point_nos[half:]}
    inside = numbers.get(zone, ())
    return tuple(place for place in plan.connectors if place[0] in inside)


def protection_of(plan: StationPlan, scale: float = SCALE) -> Protection:
    """Return the station's protection document; rules and matrix are the built-in ones.

    Batteries warm by the demo's clock and the station judges by real seconds: what warms in half
    an hour would be a trip wherever somebody stays for a while. Their slope is scaled.
    """
    return Protection(
        rules=tuple(
            structs.replace(rule, per_s=rule.per_s * scale) if _is_of_batteries(rule) else rule
            for rule in BUILT_IN_RULES
        ),
        devices=_devices(),
        zones=(
            Zone(
                name=ZONE_A,
                connectors=connectors_of(plan, ZONE_A),
                title_zh="A 区",
                title_en="Area A",
            ),
            Zone(
                name=ZONE_B,
                connectors=connectors_of(plan, ZONE_B),
                title_zh="B 区",
                title_en="Area B",
            ),
            # Without connectors: what is noticed there concerns the whole station.
            Zone(name=TRANSFORMER, title_zh="箱变", title_en="Transformer"),
        ),
        outputs=(*_sounders(), *_contactors(plan)),
        site=_site(plan),
    )


def _is_of_batteries(rule: AnyRule) -> TypeGuard[Rate]:
    return isinstance(rule, Rate) and rule.select.quantity is Quantity.BATTERY_TEMP_MAX_C


def _devices() -> tuple[Device, ...]:
    rows = (
        (SMOKE_DETECTOR[ZONE_A], "calectro-ug3-mb", ZONE_A, "A 区烟感", "Smoke detector A"),
        (SMOKE_DETECTOR[ZONE_B], "calectro-ug3-mb", ZONE_B, "B 区烟感", "Smoke detector B"),
        ("air-a", "xy-md02", ZONE_A, "A 区温湿度", "Air A"),
        ("air-b", "xy-md02", ZONE_B, "B 区温湿度", "Air B"),
        ("pit", "rle-ld1500", TRANSFORMER, "电缆沟水浸", "Cable pit"),
        ("oil", "messko-compact-oil", TRANSFORMER, "箱变油温", "Transformer oil"),
        ("winding", "messko-compact-winding", TRANSFORMER, "箱变绕组温度", "Transformer winding"),
        ("contacts", "waveshare-io8-contacts", TRANSFORMER, "箱变干接点", "Transformer contacts"),
        ("meter", "eastron-sdm630", "", "进线电表", "Supply meter"),
        ("breaker", "schneider-nsx-bscm", "", "进线断路器", "Supply breaker"),
        (_RELAYS, _RELAY_MODEL, "", "声光继电器", "Sounder relays"),
        (_CONTACTORS, _RELAY_MODEL, "", "接触器继电器", "Contactor relays"),
    )
    return tuple(
        Device(
            name=name,
            line=LINE,
            unit_id=unit_id,
            profile=profile,
            zone=zone,
            title_zh=title_zh,
            title_en=title_en,
        )
        for unit_id, (name, profile, zone, title_zh, title_en) in enumerate(rows, 1)
    )


def _sounders() -> tuple[Output, ...]:
    def output(number: int, name: str, kind: OutputKind, **more: Any) -> Output:
        proof = "" if kind is OutputKind.WATCHDOG else f"input{number}"
        return Output(
            name=name, kind=kind, device=_RELAYS, point=f"relay{number}", read_back=proof, **more
        )

    siren_a, siren_b = SIREN[ZONE_A], SIREN[ZONE_B]
    return (
        output(1, siren_a, OutputKind.SIREN, zones=(ZONE_A,), backup=siren_b),
        output(2, siren_b, OutputKind.SIREN, zones=(ZONE_B,), backup="strobe"),
        output(3, "strobe", OutputKind.STROBE),
        output(4, "watchdog", OutputKind.WATCHDOG),
    )


def _contactors(plan: StationPlan) -> tuple[Output, ...]:
    return tuple(
        Output(
            name=f"contactor-{number:02d}",
            kind=OutputKind.CONTACTOR,
            device=_CONTACTORS,
            point=f"relay{number}",
            read_back=f"input{number}",
            connectors=tuple(place for place in plan.connectors if place[0] == charge_point_no),
        )
        for number, charge_point_no in enumerate(plan.charge_point_nos, 1)
    )


def _site(plan: StationPlan) -> Site:
    return Site(
        name_zh=plan.name_zh,
        name_en=plan.name_en,
        address_zh="上海市示范路 1 号",
        address_en="1 Demo Road, Shanghai",
        shut_off_zh="箱变低压侧总开关, 站区东北角, 钥匙在门卫室",
        shut_off_en="Main switch at the transformer's low side, north-east corner; key at the gate",
        extinguishers_zh="每个充电桩旁 2 具干粉灭火器; 消火栓在入口",
        extinguishers_en="Two dry-powder extinguishers at each charge point; hydrant at the gate",
        contacts=(
            Contact(name_zh="消防", name_en="Fire brigade", phone="119"),
            Contact(name_zh="值班站长", name_en="Station duty", phone="021-5555 0100"),
        ),
        power_limit_w=1_000_000,
    )
