"""Check a protection document whole, and say which field is wrong.

What needs the station's own files (lines, profiles) is checked there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from msgspec import Struct

from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.protection import (
    CONTACTS,
    NAME_MAX,
    OF_CONNECTORS,
    AnyRule,
    Compare,
    Interlock,
    Output,
    OutputKind,
    Protection,
    Rate,
    Reach,
    Reset,
    RuleBase,
    Silence,
    Site,
    Spread,
    Stuck,
    Threshold,
    Vote,
    Zone,
)
from shared.errors import ProtectionError
from shared.protection.built_in import interlocks_of, rules_of, with_least

UNIT_ID_MAX = 247
HOLD_MAX_S = 7 * 86_400.0
VOTES_MAX = 100
TEXT_MAX = 400
POWER_MAX_W = 100_000_000
ROLES = ("staff", "chief")

_SOUNDS = (OutputKind.SIREN, OutputKind.STROBE, OutputKind.SPEAKER)


def check(protection: Protection) -> None:
    """Check what the types do not say.

    Raises:
        ProtectionError: The first wrong field, by its path, for example `rules[3].select.zone`.
    """
    _check_devices(protection)
    _check_zones(protection)
    _check_outputs(protection)
    _check_interlocks(protection)
    _check_rules(protection)
    _check_site(protection.site)


def _check_devices(protection: Protection) -> None:
    zones = {zone.name for zone in protection.zones}
    for index, device in enumerate(protection.devices):
        at = f"devices[{index}]"
        _name(device.name, f"{at}.name")
        _name(device.line, f"{at}.line")
        _name(device.profile, f"{at}.profile", longest=64)
        if not 1 <= device.unit_id <= UNIT_ID_MAX:
            raise ProtectionError(f"{at}.unit_id", f"{device.unit_id}, use 1 to {UNIT_ID_MAX}")
        _known(device.zone, zones, f"{at}.zone", "zone")
        _texts(device, at)
    _unique((device.name for device in protection.devices), "devices[{}].name")
    places = ((device.line, device.unit_id) for device in protection.devices)
    _unique(places, "devices[{}].unit_id")


def _check_zones(protection: Protection) -> None:
    for index, zone in enumerate(protection.zones):
        _name(zone.name, f"zones[{index}].name")
        _connectors(zone, f"zones[{index}].connectors")
        _texts(zone, f"zones[{index}]")
    _unique((zone.name for zone in protection.zones), "zones[{}].name")


def _check_outputs(protection: Protection) -> None:
    outputs = {output.name: output for output in protection.outputs}
    zones = {zone.name for zone in protection.zones}
    devices = {device.name for device in protection.devices}
    for index, output in enumerate(protection.outputs):
        at = f"outputs[{index}]"
        _name(output.name, f"{at}.name")
        _check_binding(output, devices, at)
        for place, zone in enumerate(output.zones):
            _known(zone, zones, f"{at}.zones[{place}]", "zone", required=True)
        _connectors(output, f"{at}.connectors")
        if bool(output.connectors) != (output.kind is OutputKind.CONTACTOR):
            why = "a contactor names what it feeds, and nothing else does"
            raise ProtectionError(f"{at}.connectors", why)
        _check_backup(output, outputs, f"{at}.backup")
    _unique((output.name for output in protection.outputs), "outputs[{}].name")
    # A loudspeaker has no coil: its own name stands for it.
    coils = ((output.device, output.point or output.name) for output in protection.outputs)
    _unique(coils, "outputs[{}].point")


def _check_binding(output: Output, devices: set[str], at: str) -> None:
    if output.kind is OutputKind.SPEAKER:
        for field in ("device", "point", "read_back"):
            if getattr(output, field):
                raise ProtectionError(f"{at}.{field}", "a loudspeaker has no device")
        return
    _known(output.device, devices, f"{at}.device", "device", required=True)
    _name(output.point, f"{at}.point")
    if output.read_back:
        _name(output.read_back, f"{at}.read_back")


def _check_backup(output: Output, outputs: dict[str, Output], at: str) -> None:
    _known(output.backup, outputs, at, "output")
    seen = {output.name}
    current = output
    while current.backup and current.backup in outputs:
        current = outputs[current.backup]
        if current.name in seen:
            raise ProtectionError(at, "it comes back to itself")
        seen.add(current.name)
    if not output.backup:
        return
    backup = outputs[output.backup].kind
    if backup is not output.kind and not (output.kind in _SOUNDS and backup in _SOUNDS):
        raise ProtectionError(at, f"a {backup} cannot take over from a {output.kind}")


def _check_interlocks(protection: Protection) -> None:
    rows = protection.interlocks or ()
    for index, row in enumerate(rows):
        at = f"interlocks[{index}]"
        if row.cause not in CATALOGUE:
            raise ProtectionError(f"{at}.cause", f"{row.cause!r} is not in the catalogue of alarms")
        if row.message:
            _name(row.message, f"{at}.message")
        if row.role not in ROLES:
            raise ProtectionError(f"{at}.role", f"{row.role!r}, use staff or chief")
        _check_latch(row, at)
    _unique((row.cause for row in rows), "interlocks[{}].cause")


def _check_latch(row: Interlock, at: str) -> None:
    least = with_least(row)
    if row.stop is not least.stop:
        raise ProtectionError(f"{at}.stop", f"{row.cause} always stops something")
    if row.reset is not least.reset:
        why = f"{row.cause} always blocks, use {least.reset}"
        raise ProtectionError(f"{at}.reset", why)
    if row.reset is Reset.UNPLUGGED and row.stop not in (Reach.NONE, Reach.CONNECTOR):
        raise ProtectionError(f"{at}.reset", "only a connector is freed by unplugging")


def _check_rules(protection: Protection) -> None:
    rows = {row.cause for row in interlocks_of(protection)}
    for index, rule in enumerate(rules_of(protection)):
        at = f"rules[{index}]"
        _name(rule.rule_id, f"{at}.rule_id")
        if rule.code not in CATALOGUE:
            raise ProtectionError(f"{at}.code", f"{rule.code!r} is not in the catalogue of alarms")
        if rule.code not in rows:
            raise ProtectionError(f"{at}.code", f"{rule.code!r} has no row in the matrix")
        _numbers(rule, at)
        for field in ("hold_s", "clear_s"):
            _between(getattr(rule, field), 0.0, HOLD_MAX_S, f"{at}.{field}")
        _check_select(rule, protection, f"{at}.select")
        _LIMITS[type(rule)](rule, at)
    _unique((rule.rule_id for rule in rules_of(protection)), "rules[{}].rule_id")


def _check_select(rule: RuleBase, protection: Protection, at: str) -> None:
    select = rule.select
    _known(select.zone, {zone.name for zone in protection.zones}, f"{at}.zone", "zone")
    _known(select.device, {item.name for item in protection.devices}, f"{at}.device", "device")
    if select.point:
        _name(select.point, f"{at}.point")
    if select.quantity not in OF_CONNECTORS:
        return
    for field in ("device", "point"):
        if getattr(select, field):
            raise ProtectionError(f"{at}.{field}", f"{select.quantity} comes from connectors")
    if isinstance(rule, Silence | Stuck):
        why = "a connector's silence is its charge point's, and an idle one does not move"
        raise ProtectionError(f"{at}.quantity", why)


def _threshold(rule: Threshold, at: str) -> None:
    if rule.above is None and rule.below is None:
        raise ProtectionError(f"{at}.above", "above or below must be given")
    _between(rule.hysteresis, 0.0, math.inf, f"{at}.hysteresis")
    if rule.above is None or rule.below is None:
        return
    if rule.above - rule.below <= 2 * rule.hysteresis:
        raise ProtectionError(f"{at}.below", "nothing between the two limits is good")


def _rate(rule: Rate, at: str) -> None:
    if rule.per_s == 0:
        raise ProtectionError(f"{at}.per_s", "0 is no slope")
    _between(rule.window_s, 0.1, 86_400.0, f"{at}.window_s")
    _no_contact(rule, at)


def _spread(rule: Spread, at: str) -> None:
    _between(rule.max_spread, 0.0, math.inf, f"{at}.max_spread")
    _no_contact(rule, at)


def _stuck(rule: Stuck, at: str) -> None:
    _between(rule.for_s, 1.0, 30 * 86_400.0, f"{at}.for_s")
    _between(rule.tolerance, 0.0, math.inf, f"{at}.tolerance")
    _no_contact(rule, at)


def _silence(rule: Silence, at: str) -> None:
    _between(rule.for_s, 0.1, HOLD_MAX_S, f"{at}.for_s")
    _between(rule.polls, 1, VOTES_MAX, f"{at}.polls")


def _vote(rule: Vote, at: str) -> None:
    _between(rule.of, 1, VOTES_MAX, f"{at}.of")
    _between(rule.needed, 1, rule.of, f"{at}.needed")
    if rule.across not in ("samples", "points"):
        raise ProtectionError(f"{at}.across", f"{rule.across!r}, use samples or points")


def _compare(rule: Compare, at: str) -> None:
    if rule.other is rule.select.quantity:
        raise ProtectionError(f"{at}.other", "a value cannot be compared with itself")
    if (rule.other in OF_CONNECTORS) != (rule.select.quantity in OF_CONNECTORS):
        raise ProtectionError(f"{at}.other", "one is a connector's value, the other a sensor's")
    _between(rule.margin_percent, 0.0, 1000.0, f"{at}.margin_percent")
    if rule.margin < 0 < rule.margin_percent:
        raise ProtectionError(f"{at}.margin", "negative, so margin_percent would not count")
    _between(rule.samples, 1, VOTES_MAX, f"{at}.samples")


# Each is called with its own kind only, by this very table.
_LIMITS: dict[type[RuleBase], Callable[..., None]] = {
    Threshold: _threshold,
    Rate: _rate,
    Spread: _spread,
    Stuck: _stuck,
    Silence: _silence,
    Vote: _vote,
    Compare: _compare,
}


def _check_site(site: Site) -> None:
    _texts(site, "site")
    for index, contact in enumerate(site.contacts):
        _texts(contact, f"site.contacts[{index}]")
    _between(site.power_limit_w, 0, POWER_MAX_W, "site.power_limit_w")


def _connectors(holder: Zone | Output, at: str) -> None:
    for index, (number, connector_no) in enumerate(holder.connectors):
        _name(number, f"{at}[{index}][0]")
        _between(connector_no, 1, 99, f"{at}[{index}][1]")
    _unique(holder.connectors, at + "[{}]")


def _name(name: str, at: str, longest: int = NAME_MAX) -> None:
    if not name:
        raise ProtectionError(at, "missing")
    if len(name) > longest:
        raise ProtectionError(at, f"{len(name)} letters, at most {longest}")
    if not name.isprintable() or name != name.strip() or any(mark in name for mark in "/:"):
        raise ProtectionError(at, f"{name!r} has spaces around it, '/', ':' or unprintable letters")


def _texts(holder: Struct, at: str) -> None:
    for name in holder.__struct_fields__:
        text = getattr(holder, name)
        if isinstance(text, str) and (len(text) > TEXT_MAX or not _readable(text)):
            why = f"at most {TEXT_MAX} letters, all of them printable"
            raise ProtectionError(f"{at}.{name}", why)


def _readable(text: str) -> bool:
    return text.replace("\n", " ").isprintable()


def _known(name: str, names: Iterable[str], at: str, what: str, *, required: bool = False) -> None:
    if not name and not required:
        return
    if name not in names:
        raise ProtectionError(at, f"no {what} is named {name!r}")


def _unique(items: Iterable[object], at: str) -> None:
    seen: set[object] = set()
    for index, item in enumerate(items):
        if item in seen:
            raise ProtectionError(at.format(index), f"{item!r} twice")
        seen.add(item)


def _numbers(rule: AnyRule, at: str) -> None:
    for name in rule.__struct_fields__:
        value = getattr(rule, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ProtectionError(f"{at}.{name}", "not a number that can be compared with")


def _between(value: float, least: float, most: float, at: str) -> None:
    if not least <= value <= most:
        raise ProtectionError(at, f"{value:g}, use {least:g} to {most:g}")


def _no_contact(rule: RuleBase, at: str) -> None:
    if rule.select.quantity in CONTACTS:
        raise ProtectionError(f"{at}.select.quantity", f"{rule.select.quantity} is only on or off")
