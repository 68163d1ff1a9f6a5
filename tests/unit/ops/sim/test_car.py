"""The simulated car: constant current, then constant voltage; warmth; its seed."""

from __future__ import annotations

from ops.sim.car import LFP, Car

VIN = "LVWSIM00000000001"


def charge_to_full(car: Car, step_ms: int = 10_000) -> list[tuple[float, int, int]]:
    """Charge without any limit but the car's own; returns (soc, voltage, current) by step."""
    course = []
    while (current_da := car.demand_da) > 0:
        course.append((car.soc, car.voltage_dv, current_da))
        car.take(car.voltage_dv, current_da, step_ms)
        assert len(course) < 10_000
    return course


def test_constant_current_then_constant_voltage() -> None:
    course = charge_to_full(Car(vin=VIN, soc=0.3, current_max_a=150.0))
    first = [(voltage, current) for soc, voltage, current in course if soc < 0.80]
    second = [(voltage, current) for soc, voltage, current in course if soc >= 0.80]
    assert {current for _, current in first} == {1500}
    assert [voltage for voltage, _ in first] == sorted(voltage for voltage, _ in first)
    assert len({voltage for voltage, _ in second}) == 1
    currents = [current for _, current in second]
    assert currents == sorted(currents, reverse=True)
    assert currents[-1] < 150


def test_a_full_battery_took_what_its_capacity_says() -> None:
    car = Car(vin=VIN, soc=0.5, capacity_kwh=60.0)
    course = charge_to_full(car)
    energy_kwh = sum(voltage * current / 100 * 10 / 3_600_000 for _, voltage, current in course)
    assert car.soc_percent == 100
    assert 30.0 <= energy_kwh <= 30.0 / 0.96 + 0.5


def test_stops_asking_at_its_target() -> None:
    car = Car(vin=VIN, soc=0.79, target_soc=0.80)
    charge_to_full(car)
    assert car.soc_percent == 80


def test_cell_voltage_stays_below_its_limit() -> None:
    car = Car(vin=VIN, soc=0.1)
    charge_to_full(car)
    assert car.cell_voltage_v <= LFP.full_v < LFP.limit_v


def test_warms_up_gently_and_never_beyond_its_limit() -> None:
    car = Car(vin=VIN, soc=0.05, capacity_kwh=500.0)
    for _ in range(360):
        car.take(car.voltage_dv, car.demand_da, 10_000)
    assert 30 <= car.temp_high_c <= 38
    assert car.temp_low_c == car.temp_high_c - 3
    assert not car.too_hot


def test_a_defective_battery_heats_up_beyond_its_limit() -> None:
    car = Car(vin=VIN, soc=0.2, temperature_c=50.0, heating_c_per_s=0.5, temp_max_c=55)
    car.take(car.voltage_dv, car.demand_da, 10_000)
    assert car.temp_high_c == 55
    assert not car.too_hot
    car.take(car.voltage_dv, car.demand_da, 2_000)
    assert car.too_hot


def test_same_seed_same_car() -> None:
    assert Car.seeded(5) == Car.seeded(5)
    assert Car.seeded(5) != Car.seeded(6)
    assert Car.seeded(5, soc=0.99).soc == 0.99
    assert len(Car.seeded(5).vin) == 17
