"""Stop a connector whose vehicle's battery is hotter than the vehicle itself allows."""

from __future__ import annotations

CODE = "battery_over_temperature"

DEFAULT_MAX_C = 55
"""Used when neither the vehicle nor its battery type says better: the usual BMS ceiling."""

MAX_C_BY_BATTERY_TYPE = {1: 55, 2: 55, 3: 60, 4: 55, 5: 55, 6: 55, 7: 55, 8: 60}
"""°C by GB/T 27930 battery type: lithium iron phosphate and titanate bear a little more."""

CEILING_C = 80
"""No vehicle is believed that claims to bear more: storage that is built for heat protects itself
at 75 °C, and one wrong byte of 0x17 says 200."""


def limit_c(vehicle_max_c: int | None, battery_type: int | None) -> int:
    """Return the limit in °C: the vehicle's own (0x17, to 80), else its type's (0x15), else 55."""
    if vehicle_max_c is not None:
        return min(vehicle_max_c, CEILING_C)
    return MAX_C_BY_BATTERY_TYPE.get(battery_type or 0, DEFAULT_MAX_C)


def exceeds(battery_temp_max_c: int | None, max_c: int) -> bool:
    """Whether the battery is too hot; a missing value never is (its silence is another rule's)."""
    return battery_temp_max_c is not None and battery_temp_max_c > max_c
