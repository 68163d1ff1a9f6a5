"""A protection document names its own mistakes, has one hash, and takes what is built in."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.protection import (
    NAME_MAX,
    AnyRule,
    Compare,
    Contact,
    Device,
    Interlock,
    Output,
    OutputKind,
    Protection,
    Quantity,
    Rate,
    Reach,
    Reset,
    Select,
    Silence,
    Site,
    Spread,
    Stuck,
    Threshold,
    Vote,
    Zone,
)
from shared.errors import ConfigError, ProtectionError
from shared.protection import (
    BUILT_IN_INTERLOCKS,
    BUILT_IN_RULES,
    check,
    document_hash,
    interlocks_of,
    load_file,
    rules_of,
    unit_of,
)
from shared.protection.built_in import MUST_STOP

NO = "32010600019236"
DETECTOR = Device(name="smoke-1", line="hall", unit_id=1, profile="ug3", zone="north")
RELAYS = Device(name="relays", line="hall", unit_id=2, profile="relay8")
NORTH = Zone(name="north", connectors=((NO, 1), (NO, 2)), title_zh="北区", title_en="North")
SIREN = Output(
    name="siren",
    kind=OutputKind.SIREN,
    device="relays",
    point="k1",
    read_back="s1",
    zones=("north",),
)
VOICE = Output(name="voice", kind=OutputKind.SPEAKER)
FEED = Output(
    name="feed", kind=OutputKind.CONTACTOR, device="relays", point="k2", connectors=((NO, 1),)
)
HOT = Threshold(
    rule_id="hot", code="heat", select=Select(quantity=Quantity.TEMPERATURE_C), above=60.0
)
GOOD = Protection(
    devices=(DETECTOR, RELAYS),
    zones=(NORTH,),
    outputs=(SIREN, VOICE, FEED),
    rules=(HOT,),
    interlocks=(Interlock(cause="heat", stop=Reach.STATION),),
    site=Site(name_zh="一号站", contacts=(Contact(name_zh="值班", name_en="Duty", phone="119"),)),
)
WATER = Interlock(cause="water")
CABLE = Select(quantity=Quantity.CABLE_TEMP_C)
SMOKE = Select(quantity=Quantity.SMOKE)


def change(struct: msgspec.Struct, **fields: object) -> object:
    return structs.replace(struct, **fields)


def devices(**fields: object) -> Protection:
    return structs.replace(GOOD, devices=(RELAYS, change(DETECTOR, **fields)))


def zones(**fields: object) -> Protection:
    return structs.replace(GOOD, zones=(NORTH, change(Zone(name="south"), **fields)))


def outputs(base: Output, **fields: object) -> Protection:
    return structs.replace(
        GOOD, outputs=(*GOOD.outputs, change(base, **({"name": "new", "point": "k9"} | fields)))
    )


def rules(rule: object) -> Protection:
    return structs.replace(GOOD, rules=(HOT, rule))


def rule(**fields: object) -> Protection:
    return rules(change(HOT, **({"rule_id": "new"} | fields)))


def rows(**fields: object) -> Protection:
    row = Interlock(**({"cause": "smoke", "stop": Reach.ZONE} | fields))  # type: ignore[arg-type]
    return structs.replace(GOOD, interlocks=(*(GOOD.interlocks or ()), row))


def kind(of: type, quantity: Quantity = Quantity.TEMPERATURE_C, /, **fields: object) -> Protection:
    return rules(of(rule_id="new", code="heat", select=Select(quantity=quantity), **fields))


def at(path: str, *documents: Protection) -> list[object]:
    return [pytest.param(document, path, id=f"{path}-{i}") for i, document in enumerate(documents)]


MISTAKES = [
    *at(
        "devices[1].name",
        devices(name=""),
        devices(name="x" * (NAME_MAX + 1)),
        devices(name=" a"),
        devices(name="a/b"),
        devices(name="a:b"),
        devices(name="a\n"),
        devices(name="relays"),
    ),
    *at("devices[1].line", devices(line="")),
    *at("devices[1].profile", devices(profile="")),
    *at("devices[1].unit_id", devices(unit_id=0), devices(unit_id=248), devices(unit_id=2)),
    *at("devices[1].zone", devices(zone="east")),
    *at("devices[1].title_en", devices(title_en="\x00"), devices(title_en="x" * 401)),
    *at("zones[1].name", zones(name=""), zones(name="north")),
    *at("zones[1].connectors[0][0]", zones(connectors=(("", 1),))),
    *at("zones[1].connectors[0][1]", zones(connectors=((NO, 0),))),
    *at("zones[1].connectors[1]", zones(connectors=((NO, 1), (NO, 1)))),
    *at("zones[1].title_zh", zones(title_zh="\x07")),
    *at("outputs[3].name", outputs(SIREN, name=""), outputs(SIREN, name="siren")),
    *at(
        "outputs[3].device",
        outputs(SIREN, device=""),
        outputs(SIREN, device="no"),
        outputs(VOICE, device="relays"),
    ),
    *at("outputs[3].point", outputs(SIREN, point=""), outputs(SIREN, point="k1"), outputs(VOICE)),
    *at("outputs[3].read_back", outputs(SIREN, read_back="a/b")),
    *at("outputs[3].zones[1]", outputs(SIREN, zones=("north", "east"))),
    *at("outputs[3].zones[0]", outputs(SIREN, zones=("",))),
    *at(
        "outputs[3].connectors", outputs(FEED, connectors=()), outputs(SIREN, connectors=((NO, 1),))
    ),
    *at(
        "outputs[3].backup",
        outputs(SIREN, backup="no"),
        outputs(SIREN, backup="new"),
        outputs(SIREN, backup="feed"),
        outputs(FEED, backup="siren"),
    ),
    *at("interlocks[1].cause", rows(cause="boredom"), rows(cause="heat")),
    *at("interlocks[1].message", rows(message="a/b")),
    *at("interlocks[1].role", rows(role="guest")),
    *at(
        "interlocks[1].stop",
        *(rows(cause=cause, stop=Reach.NONE) for cause in sorted(MUST_STOP - {"heat"})),
        structs.replace(GOOD, interlocks=(WATER, Interlock(cause="heat"))),
    ),
    *at(
        "interlocks[1].reset",
        *(rows(cause=cause, reset=Reset.NO_LATCH) for cause in sorted(MUST_STOP - {"heat"})),
        rows(stop=Reach.CONNECTOR, reset=Reset.UNPLUGGED),
        rows(cause="cell_over_voltage", reset=Reset.UNPLUGGED),
    ),
    *at("rules[1].rule_id", rule(rule_id=""), rule(rule_id="hot")),
    *at("rules[1].code", rule(code="boredom"), rule(code="tariff_missing")),
    *at("rules[1].hold_s", rule(hold_s=-0.1), rule(hold_s=math.nan), rule(hold_s=1e9)),
    *at("rules[1].clear_s", rule(clear_s=-1.0), rule(clear_s=math.inf)),
    *at("rules[1].select.zone", rule(select=structs.replace(HOT.select, zone="east"))),
    *at(
        "rules[1].select.device",
        rule(select=structs.replace(HOT.select, device="no")),
        rule(select=structs.replace(CABLE, device="relays")),
    ),
    *at(
        "rules[1].select.point",
        rule(select=structs.replace(HOT.select, point="a/b")),
        rule(select=structs.replace(CABLE, point="p")),
    ),
    *at(
        "rules[1].above",
        rule(above=None),
        rule(above=math.inf),
        rule(above=-math.inf),
        rule(above=math.nan),
    ),
    *at("rules[1].below", rule(below=60.0), rule(below=58.0, hysteresis=1.0), rule(below=math.nan)),
    *at("rules[1].hysteresis", rule(hysteresis=-1.0)),
    *at("rules[1].per_s", kind(Rate, per_s=0.0), kind(Rate, per_s=math.inf)),
    *at("rules[1].window_s", kind(Rate, per_s=1.0, window_s=0.0)),
    *at(
        "rules[1].select.quantity",
        kind(Rate, Quantity.SMOKE, per_s=1.0),
        kind(Spread, Quantity.WATER, max_spread=1.0),
        kind(Stuck, Quantity.SMOKE, for_s=60.0),
        kind(Stuck, Quantity.SOC_PERCENT, for_s=60.0),
        kind(Silence, Quantity.CABLE_TEMP_C, for_s=60.0),
    ),
    *at("rules[1].max_spread", kind(Spread, max_spread=-1.0)),
    *at("rules[1].for_s", kind(Stuck, for_s=0.0), kind(Silence, for_s=0.0)),
    *at("rules[1].tolerance", kind(Stuck, for_s=60.0, tolerance=-1.0)),
    *at("rules[1].polls", kind(Silence, for_s=1.0, polls=0)),
    *at("rules[1].of", kind(Vote, of=0), kind(Vote, of=101)),
    *at("rules[1].needed", kind(Vote, needed=0), kind(Vote, needed=4)),
    *at("rules[1].across", kind(Vote, across="days")),
    *at(
        "rules[1].other",
        kind(Compare, other=Quantity.TEMPERATURE_C),
        kind(Compare, other=Quantity.SOC_PERCENT),
    ),
    *at("rules[1].margin_percent", kind(Compare, other=Quantity.VOLTAGE_V, margin_percent=-1.0)),
    *at(
        "rules[1].margin", kind(Compare, other=Quantity.VOLTAGE_V, margin=-1.0, margin_percent=1.0)
    ),
    *at("rules[1].samples", kind(Compare, other=Quantity.VOLTAGE_V, samples=0)),
    *at("site.name_en", structs.replace(GOOD, site=Site(name_en="\x1b[31m"))),
    *at(
        "site.contacts[0].phone",
        structs.replace(
            GOOD, site=Site(contacts=(Contact(name_zh="", name_en="", phone="1" * 401),))
        ),
    ),
    *at("site.power_limit_w", structs.replace(GOOD, site=Site(power_limit_w=-1))),
]


@pytest.mark.parametrize(("document", "path"), MISTAKES)
def test_a_mistake_is_named(document: Protection, path: str) -> None:
    with pytest.raises(ProtectionError) as caught:
        check(document)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.why}"
    assert caught.value.why


@pytest.mark.parametrize(
    "document",
    [
        Protection(),
        GOOD,
        devices(title_zh="第一行\n第二行"),
        devices(line="other", unit_id=2),
        outputs(SIREN, backup="voice"),
        outputs(FEED, backup="feed"),
        rule(below=0.0, hysteresis=2.0),
        kind(Rate, per_s=-1.0),
        kind(Spread, max_spread=1.0),
        kind(Stuck, for_s=60.0),
        kind(Silence, for_s=1.0),
        kind(Vote, across="points"),
        kind(Compare, other=Quantity.VOLTAGE_V, margin=-1.0),
        rule(select=structs.replace(CABLE, zone="north")),
        rule(select=Select(quantity=Quantity.TEMPERATURE_C, device="smoke-1", point="t")),
        rows(message="fire", role="chief"),
        rows(cause="battery_over_temperature", stop=Reach.CHARGE_POINT),
    ],
)
def test_a_good_document_passes(document: Protection) -> None:
    check(document)


def test_outputs_may_not_stand_in_for_each_other_in_a_circle() -> None:
    one = structs.replace(SIREN, name="one", point="k5", backup="two")
    two = structs.replace(SIREN, name="two", point="k6", backup="one")
    with pytest.raises(ProtectionError) as caught:
        check(structs.replace(GOOD, outputs=(one, two)))
    assert caught.value.path == "outputs[0].backup"


def test_what_is_built_in_is_in_the_catalogue_and_has_a_row() -> None:
    causes = [row.cause for row in BUILT_IN_INTERLOCKS]
    assert len(causes) == len(set(causes))
    assert set(causes) <= set(CATALOGUE)
    assert {rule.code for rule in BUILT_IN_RULES} <= set(causes)
    # What the engine raises by itself.
    assert {"battery_over_temperature", "battery_reports_danger", "emergency_stop"} <= set(causes)


def test_every_value_of_a_sensor_that_protects_has_a_rule_for_its_silence() -> None:
    silent = {rule.select.quantity for rule in BUILT_IN_RULES if isinstance(rule, Silence)}
    judged = {rule.select.quantity for rule in BUILT_IN_RULES if not isinstance(rule, Silence)}
    of_sensors = judged - {quantity for quantity in judged if quantity in _of_connectors()}
    assert of_sensors - silent == {Quantity.DETECTOR_FAULT}  # it is read with its detector


def _of_connectors() -> frozenset[Quantity]:
    from shared.contracts.protection import OF_CONNECTORS

    return OF_CONNECTORS


def test_a_document_without_rules_takes_the_built_in_ones() -> None:
    assert rules_of(Protection()) == BUILT_IN_RULES
    assert rules_of(GOOD)[0] == HOT


def test_contacts_that_save_lives_are_always_looked_at() -> None:
    def looked_at(*rules: AnyRule) -> list[str]:
        return sorted(rule.select.quantity for rule in rules_of(Protection(rules=rules)))

    assert looked_at() == ["emergency_button", "heat", "smoke"]
    voted = Vote(rule_id="smoke", code="smoke", select=Select(quantity=Quantity.SMOKE))
    assert looked_at(voted) == ["emergency_button", "heat", "smoke"]
    off = structs.replace(voted, enabled=False)
    assert looked_at(off) == ["emergency_button", "heat", "smoke", "smoke"]
    ids = [rule.rule_id for rule in rules_of(Protection(rules=(off,)))]
    assert len(set(ids)) == len(ids)


def test_a_row_replaces_the_built_in_row_of_its_cause_and_no_other() -> None:
    by_cause = {row.cause: row for row in interlocks_of(GOOD)}
    assert by_cause["heat"].stop is Reach.STATION
    built_in = {row.cause: row for row in BUILT_IN_INTERLOCKS}
    assert by_cause == built_in | {"heat": Interlock(cause="heat", stop=Reach.STATION)}


@pytest.mark.parametrize("cause", sorted(MUST_STOP))
def test_a_document_that_was_stored_before_stops_and_blocks_all_the_same(cause: str) -> None:
    row = Interlock(cause=cause, stop=Reach.NONE, reset=Reset.NO_LATCH, message="fire")
    (acts,) = [each for each in interlocks_of(Protection(interlocks=(row,))) if each.cause == cause]
    (built_in,) = [each for each in BUILT_IN_INTERLOCKS if each.cause == cause]
    assert acts == structs.replace(row, stop=built_in.stop, reset=built_in.reset)


def test_two_ways_to_write_the_same_have_one_hash() -> None:
    same = [
        GOOD,
        msgspec.msgpack.decode(msgspec.msgpack.encode(GOOD), type=Protection),
        msgspec.json.decode(msgspec.json.encode(GOOD), type=Protection),
        structs.replace(GOOD, rules=(structs.replace(HOT, above=60),)),
        structs.replace(GOOD, site=structs.replace(GOOD.site)),
    ]
    assert len({document_hash(document) for document in same}) == 1
    assert document_hash(Protection(site=Site())) == document_hash(Protection())


def test_every_change_changes_the_hash() -> None:
    other_kind = Silence(rule_id="hot", code="heat", select=HOT.select, for_s=60.0)
    documents = [
        GOOD,
        structs.replace(GOOD, rules=None),
        structs.replace(GOOD, rules=()),
        structs.replace(GOOD, rules=(structs.replace(HOT, above=60.1),)),
        structs.replace(GOOD, rules=(structs.replace(HOT, enabled=False),)),
        structs.replace(GOOD, rules=(other_kind,)),
        structs.replace(GOOD, outputs=(VOICE, SIREN, FEED)),
        devices(unit_id=9),
    ]
    assert len({document_hash(document) for document in documents}) == len(documents)


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [
        (Quantity.OIL_TEMPERATURE_C, "°C"),
        (Quantity.SMOKE_DENSITY_PERCENT, "%"),
        (Quantity.DEMAND_VOLTAGE_V, "V"),
        (Quantity.ENERGY_KWH, "kWh"),
        (Quantity.POWER_FACTOR, ""),
        (Quantity.SMOKE, ""),
    ],
)
def test_units(quantity: Quantity, unit: str) -> None:
    assert unit_of(quantity) == unit


GOOD_FILE = """
[[devices]]
name = "smoke-1"
line = "hall"
unit_id = 1
profile = "ug3"
zone = "north"

[[zones]]
name = "north"
connectors = [["32010600019236", 1]]

[[rules]]
kind = "threshold"
rule_id = "hot"
code = "heat"
select = { quantity = "temperature_c", zone = "north" }
above = 60
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "protection.toml"
    path.write_text(GOOD_FILE, encoding="utf-8")
    document = load_file(path)
    assert document.zones[0].connectors == ((NO, 1),)
    assert document.rules == (
        structs.replace(HOT, select=structs.replace(HOT.select, zone="north")),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('zone = "north"\n', 'zone = "east"\n', "devices[0].zone: no zone is named 'east'"),
        ("above = 60", "abvoe = 60", "rules[0].abvoe: unknown; known are above, "),
        ("[[zones]]", "[[zone]]", "zone: unknown; known are devices, "),
        ('profile = "ug3"', "profile = 3", "devices[0].profile: Expected `str`, got `int`"),
        ('name = "smoke-1"', "", "devices[0]: Object missing required field `name`"),
        ('"temperature_c"', '"temperature_f"', "rules[0].select.quantity: Invalid enum value"),
        ('kind = "threshold"', 'kind = "guess"', "rules[0].kind: Invalid value 'guess'"),
        ("[[zones]]", "[[zones", "no TOML: "),
    ],
)
def test_a_wrong_file_says_which_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "protection.toml"
    path.write_text(GOOD_FILE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    assert str(caught.value).startswith(f"{path}: {said}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load_file(tmp_path / "none.toml")
