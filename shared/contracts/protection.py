"""How a station protects itself, as data: devices, zones, outputs, rules and the interlock matrix.

One document, with one version, holds all of it; HQ edits it, the station checks it whole, swaps
it between two facts and keeps the last good one. `PublishProtection` carries it, a station
without HQ reads it from a TOML file with the same fields, and both ends check it with
`shared.protection.check`. What a rule of each kind does is the station's code.

Names join the parts: a device names its line (of `edge.toml`), profile and zone; an output names
the device and point that it writes; a rule selects points by what they measure; the matrix says
what each cause stops, opens and sounds.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from shared.contracts.words import Severity

NAME_MAX = 24
"""Letters of the name of a device, point, zone, output or rule: a series is `device/point`."""


class Quantity(StrEnum):
    """What a value is, with its unit. Contacts are 0 or 1, where 1 is what the name says."""

    SMOKE = "smoke"
    HEAT = "heat"
    WATER = "water"
    DOOR_OPEN = "door_open"
    TRANSFORMER_DOOR_OPEN = "transformer_door_open"
    EMERGENCY_BUTTON = "emergency_button"
    DETECTOR_FAULT = "detector_fault"
    BREAKER_CLOSED = "breaker_closed"
    BREAKER_TRIPPED = "breaker_tripped"
    OUTPUT_ON = "output_on"
    SMOKE_DENSITY_PERCENT = "smoke_density_percent"
    TEMPERATURE_C = "temperature_c"
    OIL_TEMPERATURE_C = "oil_temperature_c"
    WINDING_TEMPERATURE_C = "winding_temperature_c"
    HUMIDITY_PERCENT = "humidity_percent"
    VOLTAGE_V = "voltage_v"
    CURRENT_A = "current_a"
    POWER_W = "power_w"
    ENERGY_KWH = "energy_kwh"
    FREQUENCY_HZ = "frequency_hz"
    POWER_FACTOR = "power_factor"
    # Of a connector, from its charge point and the vehicle's battery management.
    CABLE_TEMP_C = "cable_temp_c"
    BATTERY_TEMP_MAX_C = "battery_temp_max_c"
    BATTERY_TEMP_MIN_C = "battery_temp_min_c"
    BATTERY_TEMP_LIMIT_C = "battery_temp_limit_c"
    BATTERY_TEMP_SPREAD_C = "battery_temp_spread_c"
    CELL_VOLTAGE_MAX_V = "cell_voltage_max_v"
    CELL_VOLTAGE_LIMIT_V = "cell_voltage_limit_v"
    CELL_SPREAD_V = "cell_spread_v"
    OUTPUT_VOLTAGE_V = "output_voltage_v"
    OUTPUT_CURRENT_A = "output_current_a"
    DEMAND_VOLTAGE_V = "demand_voltage_v"
    DEMAND_CURRENT_A = "demand_current_a"
    SOC_PERCENT = "soc_percent"
    INSULATION_FAULT = "insulation_fault"
    CHARGING_FORBIDDEN = "charging_forbidden"


CONTACTS = frozenset(
    {
        Quantity.SMOKE,
        Quantity.HEAT,
        Quantity.WATER,
        Quantity.DOOR_OPEN,
        Quantity.TRANSFORMER_DOOR_OPEN,
        Quantity.EMERGENCY_BUTTON,
        Quantity.DETECTOR_FAULT,
        Quantity.BREAKER_CLOSED,
        Quantity.BREAKER_TRIPPED,
        Quantity.OUTPUT_ON,
        Quantity.INSULATION_FAULT,
        Quantity.CHARGING_FORBIDDEN,
    }
)
"""Quantities that are 0 or 1."""

OF_CONNECTORS = frozenset(
    {
        Quantity.CABLE_TEMP_C,
        Quantity.BATTERY_TEMP_MAX_C,
        Quantity.BATTERY_TEMP_MIN_C,
        Quantity.BATTERY_TEMP_LIMIT_C,
        Quantity.BATTERY_TEMP_SPREAD_C,
        Quantity.CELL_VOLTAGE_MAX_V,
        Quantity.CELL_VOLTAGE_LIMIT_V,
        Quantity.CELL_SPREAD_V,
        Quantity.OUTPUT_VOLTAGE_V,
        Quantity.OUTPUT_CURRENT_A,
        Quantity.DEMAND_VOLTAGE_V,
        Quantity.DEMAND_CURRENT_A,
        Quantity.SOC_PERCENT,
        Quantity.INSULATION_FAULT,
        Quantity.CHARGING_FORBIDDEN,
    }
)
"""Quantities that come from connectors; all others come from sensors."""


class Quality(StrEnum):
    """Whether a value may be used. Only `good` values are numbers."""

    GOOD = "good"
    NO_ANSWER = "no_answer"
    """The device did not answer in time."""
    REFUSED = "refused"
    """The device answered with an exception."""
    INVALID = "invalid"
    """The device says that it has no value, or the value cannot be."""
    STALE = "stale"
    """Older than three of its periods."""


class Device(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Modbus device: which model, where on which line, and what area it watches.

    `zone` "" means that what it says concerns the whole station.
    """

    name: str
    line: str
    unit_id: int
    profile: str
    zone: str = ""
    title_zh: str = ""
    title_en: str = ""


class Zone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An area of the station. A connector may stand in several; one in none is in the station."""

    name: str
    connectors: tuple[tuple[str, int], ...] = ()
    title_zh: str = ""
    title_en: str = ""


class OutputKind(StrEnum):
    """What an output does when it is on; a contactor that is on is open: the supply is cut."""

    SIREN = "siren"
    STROBE = "strobe"
    CONTACTOR = "contactor"
    WATCHDOG = "watchdog"
    """Toggled once a second while the agent lives; wired so that its rest sounds the siren."""
    SPEAKER = "speaker"
    """The loudspeaker of the station's own computer: no device."""


class Output(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the station switches: a coil `point` of a device, and what proves it.

    `zones` empty: for every zone. A contactor feeds `connectors`. `backup` names the output that
    takes over when this one does not answer or does not read back.
    """

    name: str
    kind: OutputKind
    device: str = ""
    point: str = ""
    read_back: str = ""
    zones: tuple[str, ...] = ()
    connectors: tuple[tuple[str, int], ...] = ()
    backup: str = ""


class Select(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which values a rule looks at: a quantity, of all places or of one zone, device or point."""

    quantity: Quantity
    zone: str = ""
    device: str = ""
    point: str = ""


class RuleBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Root of the rules.

    `code` is the alarm that it raises, in the catalogue, and its row in the matrix. The condition
    must hold for `hold_s` before it counts, and be gone for `clear_s` before it is over.
    `severity` None takes the catalogue's.
    """

    rule_id: str
    code: str
    select: Select
    hold_s: float = 0.0
    clear_s: float = 5.0
    severity: Severity | None = None
    enabled: bool = True


class Threshold(RuleBase, frozen=True, kw_only=True, tag="threshold"):
    """The value is above or below a limit; it is over `hysteresis` on the other side of it."""

    above: float | None = None
    below: float | None = None
    hysteresis: float = 0.0


class Rate(RuleBase, frozen=True, kw_only=True, tag="rate"):
    """The value rose (or, negative, fell) by more than `per_s` a second over `window_s`."""

    per_s: float
    window_s: float = 30.0


class Spread(RuleBase, frozen=True, kw_only=True, tag="spread"):
    """The selected points of one zone differ by more than `max_spread`; needs two good ones."""

    max_spread: float


class Stuck(RuleBase, frozen=True, kw_only=True, tag="stuck"):
    """An analogue value has not moved by more than `tolerance` for `for_s`: a frozen sensor."""

    for_s: float
    tolerance: float = 0.0


class Silence(RuleBase, frozen=True, kw_only=True, tag="silence"):
    """No good value for `for_s`, or for `polls` polls where that is later."""

    for_s: float
    polls: int = 3


class Vote(RuleBase, frozen=True, kw_only=True, tag="vote"):
    """`needed` of the last `of` samples of a point, or of the points of a zone, are above a limit.

    `across` is `samples` or `points`. `above` 0.5 suits contacts.
    """

    needed: int = 2
    of: int = 3
    above: float = 0.5
    across: str = "samples"


class Compare(RuleBase, frozen=True, kw_only=True, tag="compare"):
    """The selected value is above another quantity of the same place, by more than a margin.

    The margin is the larger of `margin` (in the quantity's unit) and `margin_percent` of the
    other value; a negative `margin`, alone, warns before it is reached. In `samples` samples in
    a row.
    """

    other: Quantity
    margin: float = 0.0
    margin_percent: float = 0.0
    samples: int = 1


AnyRule = Threshold | Rate | Spread | Stuck | Silence | Vote | Compare


class Reach(StrEnum):
    """Which connectors a cause stops, seen from where it was noticed."""

    NONE = "none"
    CONNECTOR = "connector"
    CHARGE_POINT = "charge_point"
    ZONE = "zone"
    STATION = "station"


class OpenContactor(StrEnum):
    """When a cause opens the contactors that feed what it stops."""

    NEVER = "never"
    UNCONFIRMED = "unconfirmed"
    """At the ladder's rung: when current still flows."""
    AT_ONCE = "at_once"


class Reset(StrEnum):
    """What lifts the block that a cause set."""

    NO_LATCH = "no_latch"
    """Nothing is blocked."""
    UNPLUGGED = "unplugged"
    """The vehicle is unplugged, or a person."""
    LOCAL = "local"
    """A person on site, once the cause is gone."""


class Interlock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of the matrix: what a cause does. `cause` is an alarm code.

    `sirens`: sirens and strobes of the zone are switched on. `message` names the recording that
    the loudspeaker plays, "" for none. `role` is who may reset: `staff` or `chief`.
    """

    cause: str
    stop: Reach = Reach.NONE
    contactor: OpenContactor = OpenContactor.UNCONFIRMED
    sirens: bool = False
    message: str = ""
    reset: Reset = Reset.LOCAL
    role: str = "staff"
    no_new_starts: bool = False
    """New charges are refused while it lasts, without stopping what runs."""


class Contact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom to call."""

    name_zh: str
    name_en: str
    phone: str


class Site(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What first responders and people on site must know."""

    name_zh: str = ""
    name_en: str = ""
    address_zh: str = ""
    address_en: str = ""
    shut_off_zh: str = ""
    shut_off_en: str = ""
    extinguishers_zh: str = ""
    extinguishers_en: str = ""
    contacts: tuple[Contact, ...] = ()
    power_limit_w: int = 0


class Protection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole document. `rules` that are None take the built-in ones.

    A row of `interlocks` replaces the built-in row of its cause; the others stay.
    """

    devices: tuple[Device, ...] = ()
    zones: tuple[Zone, ...] = ()
    outputs: tuple[Output, ...] = ()
    rules: tuple[AnyRule, ...] | None = None
    interlocks: tuple[Interlock, ...] | None = None
    site: Site = Site()


class Pin(Struct, frozen=True, kw_only=True):
    """Somebody who may act at the station's screen. `hash` is argon2id's text, of 4–12 digits."""

    name: str
    role: str
    hash: str
