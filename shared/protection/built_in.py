"""Rules and interlocks that hold where a document says nothing else.

Limits name the kind of their source: [standard] a published standard, [practice] what makers of
such equipment set, [own] our proposal. All of them are data: a station sets its own.
"""

from __future__ import annotations

from msgspec import structs

from shared.contracts.protection import (
    NAME_MAX,
    AnyRule,
    Compare,
    Interlock,
    OpenContactor,
    Protection,
    Quantity,
    Rate,
    Reach,
    Reset,
    Select,
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
)

Q = Quantity
_ON = 0.5
"""Between off and on of a contact."""


def _contact(code: str, quantity: Quantity, hold_s: float = 0.0) -> AnyRule:
    return Threshold(
        rule_id=code, code=code, select=Select(quantity=quantity), above=_ON, hold_s=hold_s
    )


def _over(
    rule_id: str,
    code: str,
    quantity: Quantity,
    above: float,
    hysteresis: float,
    hold_s: float = 0.0,
) -> AnyRule:
    return Threshold(
        rule_id=rule_id,
        code=code,
        select=Select(quantity=quantity),
        above=above,
        hysteresis=hysteresis,
        hold_s=hold_s,
        clear_s=30.0,
    )


_FIRE: tuple[AnyRule, ...] = (
    # A detector decides by itself: its contact acts at the first poll that shows it.
    _contact("smoke", Q.SMOKE),
    _contact("heat", Q.HEAT),
    # [own] A density flaps in the wind: two of three.
    Vote(
        rule_id="smoke_density",
        code="smoke",
        select=Select(quantity=Q.SMOKE_DENSITY_PERCENT),
        above=10.0,
    ),
    # [standard] Fixed-temperature detectors of class A2 answer at 54 to 70 °C (EN 54-5).
    Vote(rule_id="heat_measured", code="heat", select=Select(quantity=Q.TEMPERATURE_C), above=65.0),
    # [standard] Rate-of-rise detectors answer to 10 °C a minute and more (EN 54-5).
    Rate(
        rule_id="temperature_rising",
        code="temperature_rising_fast",
        select=Select(quantity=Q.TEMPERATURE_C),
        per_s=10 / 60,
        window_s=60.0,
        hold_s=2.0,
        clear_s=60.0,
    ),
)

_PLACE: tuple[AnyRule, ...] = (
    _contact("emergency_button", Q.EMERGENCY_BUTTON),
    _contact("water", Q.WATER, hold_s=1.0),
    _contact("transformer_door_open", Q.TRANSFORMER_DOOR_OPEN),
    _contact("door_open", Q.DOOR_OPEN, hold_s=5.0),
    _contact("breaker_tripped", Q.BREAKER_TRIPPED),
    _contact("detector_fault", Q.DETECTOR_FAULT),
    # [practice] Top oil: alarm at 85, trip at 95 °C. Dry windings of class F: 130 and 150 °C.
    _over("oil_hot", "transformer_hot", Q.OIL_TEMPERATURE_C, 85.0, 5.0, 10.0),
    _over("oil_too_hot", "transformer_over_temperature", Q.OIL_TEMPERATURE_C, 95.0, 5.0, 3.0),
    _over("winding_hot", "transformer_hot", Q.WINDING_TEMPERATURE_C, 130.0, 5.0, 10.0),
    _over(
        "winding_too_hot",
        "transformer_over_temperature",
        Q.WINDING_TEMPERATURE_C,
        150.0,
        5.0,
        3.0,
    ),
    # [own] Cabinets are built for 50 °C around them.
    _over("environment_hot", "environment_hot", Q.TEMPERATURE_C, 50.0, 3.0, 60.0),
    _over("humidity_high", "humidity_high", Q.HUMIDITY_PERCENT, 90.0, 5.0, 600.0),
)

_CONNECTORS: tuple[AnyRule, ...] = (
    # [practice] Connectors reduce current from about 85 °C on; 90 is for when they did not.
    _over("cable_too_hot", "cable_over_temperature", Q.CABLE_TEMP_C, 90.0, 5.0),
    # [own] 5 °C below what the vehicle itself allows (0x17).
    Compare(
        rule_id="battery_near_limit",
        code="battery_near_limit",
        select=Select(quantity=Q.BATTERY_TEMP_MAX_C),
        other=Q.BATTERY_TEMP_LIMIT_C,
        margin=-5.0,
        clear_s=60.0,
    ),
    # [own] More than 5 °C in one 15 s report. The 1 °C/s of GB 38031 needs samples each second.
    Rate(
        rule_id="battery_heating",
        code="battery_heating_fast",
        select=Select(quantity=Q.BATTERY_TEMP_MAX_C),
        per_s=5 / 15,
        window_s=15.0,
    ),
    # [standard] The vehicle's own limit (GB/T 27930 BCP) and two steps of its resolution.
    Compare(
        rule_id="cell_over_voltage",
        code="cell_over_voltage",
        select=Select(quantity=Q.CELL_VOLTAGE_MAX_V),
        other=Q.CELL_VOLTAGE_LIMIT_V,
        margin=0.02,
        samples=2,
    ),
    # [own] Packs are kept within 5 to 10 °C by their cooling.
    _over("battery_temp_spread", "battery_temp_spread", Q.BATTERY_TEMP_SPREAD_C, 15.0, 2.0, 60.0),
    # [own] At the end of a charge sound cells lie within some hundredths of a volt.
    _over("cell_spread", "cell_spread", Q.CELL_SPREAD_V, 0.3, 0.05),
    # [own] Chargers follow a falling demand within seconds, so one sample proves nothing.
    Compare(
        rule_id="current_over_demand",
        code="output_over_demand",
        select=Select(quantity=Q.OUTPUT_CURRENT_A),
        other=Q.DEMAND_CURRENT_A,
        margin=5.0,
        margin_percent=5.0,
        samples=2,
    ),
    Compare(
        rule_id="voltage_over_demand",
        code="output_over_demand",
        select=Select(quantity=Q.OUTPUT_VOLTAGE_V),
        other=Q.DEMAND_VOLTAGE_V,
        margin_percent=5.0,
        samples=2,
    ),
    # [standard] "Charging permitted" of the BMS (GB/T 27930 BSM); a full vehicle withdraws it too.
    Vote(
        rule_id="charging_forbidden",
        code="charging_forbidden",
        select=Select(quantity=Q.CHARGING_FORBIDDEN),
        needed=2,
        of=2,
    ),
)

_DETECTORS = (Q.SMOKE, Q.SMOKE_DENSITY_PERCENT, Q.HEAT)
_GUARDS = (Q.EMERGENCY_BUTTON, Q.WATER, Q.TRANSFORMER_DOOR_OPEN, Q.DOOR_OPEN, Q.BREAKER_TRIPPED)
_MEASURED = (
    Q.TEMPERATURE_C,
    Q.OIL_TEMPERATURE_C,
    Q.WINDING_TEMPERATURE_C,
    Q.HUMIDITY_PERCENT,
    Q.VOLTAGE_V,
    Q.CURRENT_A,
    Q.POWER_W,
    Q.ENERGY_KWH,
)


def _silent(quantity: Quantity, code: str, for_s: float) -> AnyRule:
    return Silence(
        rule_id=f"silent_{quantity.removesuffix('_open')}"[:NAME_MAX],
        code=code,
        select=Select(quantity=quantity),
        for_s=for_s,
    )


_SENSORS: tuple[AnyRule, ...] = (
    # A smoke detector that cannot be read is a fault of the protection: the third poll decides.
    *(_silent(quantity, "detector_fault", 0.15) for quantity in _DETECTORS),
    *(_silent(quantity, "sensor_silent", 1.0) for quantity in _GUARDS),
    *(_silent(quantity, "sensor_silent", 15.0) for quantity in _MEASURED),
    # [own] Air that is the same to the last digit for half a day is not air.
    Stuck(
        rule_id="temperature_stuck",
        code="sensor_stuck",
        select=Select(quantity=Q.TEMPERATURE_C),
        for_s=43_200.0,
    ),
    # [own] Wide: one of them may hang in the sun.
    Spread(
        rule_id="temperature_spread",
        code="sensor_spread",
        select=Select(quantity=Q.TEMPERATURE_C),
        max_spread=20.0,
        hold_s=300.0,
        clear_s=60.0,
    ),
)

BUILT_IN_RULES: tuple[AnyRule, ...] = _FIRE + _PLACE + _CONNECTORS + _SENSORS
"""What a station watches for without being told."""

_STOPS_CONNECTOR: tuple[Interlock, ...] = tuple(
    Interlock(cause=cause, stop=Reach.CONNECTOR, reset=Reset.UNPLUGGED, message=message)
    for cause, message in (
        ("battery_over_temperature", "over_temperature"),
        ("battery_heating_fast", "over_temperature"),
        ("battery_reports_danger", ""),
        ("cell_over_voltage", ""),
        ("insulation_fault", ""),
        ("charging_forbidden", ""),
    )
)

_ONLY_ALARMS: tuple[Interlock, ...] = tuple(
    Interlock(cause=cause, contactor=OpenContactor.NEVER, reset=Reset.NO_LATCH)
    for cause in (
        "battery_near_limit",
        "battery_temp_spread",
        "breaker_tripped",
        "cell_spread",
        "contactor_not_open",
        "door_open",
        "drill_due",
        "environment_hot",
        "humidity_high",
        "kiosk_silent",
        "line_down",
        "output_fault",
        "output_module_down",
        "protection_degraded",
        "self_test",
        "sensor_silent",
        "sensor_spread",
        "sensor_stuck",
        "stop_not_confirmed",
        "supply_abnormal",
        "transformer_hot",
    )
)

BUILT_IN_INTERLOCKS: tuple[Interlock, ...] = (
    Interlock(
        cause="smoke",
        stop=Reach.ZONE,
        contactor=OpenContactor.AT_ONCE,
        sirens=True,
        message="fire",
        role="chief",
    ),
    Interlock(
        cause="heat",
        stop=Reach.ZONE,
        contactor=OpenContactor.AT_ONCE,
        sirens=True,
        message="heat",
        role="chief",
    ),
    Interlock(
        cause="temperature_rising_fast",
        stop=Reach.ZONE,
        sirens=True,
        message="heat",
        role="chief",
    ),
    Interlock(
        cause="emergency_button",
        stop=Reach.ZONE,
        contactor=OpenContactor.AT_ONCE,
        sirens=True,
        message="emergency_stop",
        role="chief",
    ),
    # HQ's order: it stops what HQ names, and is heard there.
    Interlock(cause="emergency_stop", stop=Reach.STATION, sirens=True, message="emergency_stop"),
    Interlock(
        cause="water",
        stop=Reach.ZONE,
        contactor=OpenContactor.AT_ONCE,
        sirens=True,
        message="water",
    ),
    Interlock(
        cause="transformer_over_temperature",
        stop=Reach.STATION,
        sirens=True,
        message="evacuate",
        role="chief",
    ),
    Interlock(
        cause="transformer_door_open",
        stop=Reach.STATION,
        sirens=True,
        message="door",
        role="chief",
    ),
    Interlock(cause="cable_over_temperature", stop=Reach.CONNECTOR),
    Interlock(cause="output_over_demand", stop=Reach.CONNECTOR),
    *_STOPS_CONNECTOR,
    # Without its smoke detector an area takes no new vehicle; what charges there goes on.
    Interlock(
        cause="detector_fault",
        contactor=OpenContactor.NEVER,
        reset=Reset.NO_LATCH,
        no_new_starts=True,
    ),
    *_ONLY_ALARMS,
)
"""What each cause does."""

MUST_STOP = frozenset(
    {
        "battery_over_temperature",
        "battery_reports_danger",
        "emergency_button",
        "emergency_stop",
        "heat",
        "smoke",
    }
)
"""Causes whose stop and latch no document may take away."""

ALWAYS_REFUSES = frozenset({"self_test"})
"""Causes that take no new charge at the whole station, whatever their row says."""

_LEAST = {row.cause: row for row in BUILT_IN_INTERLOCKS if row.cause in MUST_STOP}
_RESETS = tuple(Reset)
_ALWAYS_SEEN = tuple(
    # No document names a rule like this: its own "smoke" may be something else.
    structs.replace(rule, rule_id=f"{rule.rule_id}, always")
    for rule in BUILT_IN_RULES
    if rule.rule_id in {"emergency_button", "heat", "smoke"}
)


def rules_of(protection: Protection) -> tuple[AnyRule, ...]:
    """Return the rules that hold: the document's, or the built-in ones where it has none.

    Contacts that save lives are always looked at: by the document's rules, in whatever way, or
    else by the built-in ones.
    """
    if protection.rules is None:
        return BUILT_IN_RULES
    seen = {rule.select.quantity for rule in protection.rules if rule.enabled}
    return (
        *protection.rules,
        *(rule for rule in _ALWAYS_SEEN if rule.select.quantity not in seen),
    )


def interlocks_of(protection: Protection) -> tuple[Interlock, ...]:
    """Return the whole matrix: the document's rows, then the built-in rows of other causes.

    Causes that must stop do, also by a document that was good before they had to.
    """
    own = tuple(with_least(row) for row in protection.interlocks or ())
    named = {row.cause for row in own}
    return (*own, *(row for row in BUILT_IN_INTERLOCKS if row.cause not in named))


def with_least(row: Interlock) -> Interlock:
    """Return a row with the stop and the latch that its cause has at least."""
    least = _LEAST.get(row.cause)
    if least is None:
        return row
    return structs.replace(
        row,
        stop=least.stop if row.stop is Reach.NONE else row.stop,
        reset=max(row.reset, least.reset, key=_RESETS.index),
    )
