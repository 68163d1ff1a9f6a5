"""The simulator's own arithmetic, against examples worked out by hand."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edge.devices.chargers.ykc.messages import TariffAnswer
from ops.sim.car import Car, Chemistry
from ops.sim.connector import Charge, Connector, Limits
from ops.sim.meter import BillingModel, Meter, PeriodSplit, payable_fen, slot_at
from shared.clock import to_ms
from tests.fakes.ykc_platform import tariff_fields

SHANGHAI = ZoneInfo("Asia/Shanghai")
MODEL = BillingModel.from_message(TariffAnswer(**tariff_fields("32010600019236")))
PRICES_E5 = tuple(MODEL.unit_price_e5(period) for period in range(4))


def instant(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


def test_worked_example_with_three_periods() -> None:
    # 06:40 to 08:10 local; the meter at each half-hour cut.
    split = PeriodSplit(MODEL, 10_000_000)
    for slot, reading_dwh in ((13, 10_201_234), (14, 10_500_001), (15, 10_799_999)):
        split.attribute(slot, reading_dwh)
    split.attribute(16, 10_900_000)
    assert split.period_dwh == [0, 100_001, 598_765, 201_234]
    assert split.energy_dwh == 900_000
    # 10.0001 x 1.47345, 59.8765 x 1.05432, 20.1234 x 0.67109, each half up to 1e-4 yuan.
    assert split.amounts_e4 == [0, 147_346, 631_290, 135_046]
    assert split.amount_e4 == 913_682
    assert payable_fen(tuple(split.period_dwh), PRICES_E5) == 9137


def test_fen_is_rounded_once_over_all_periods() -> None:
    # F 10.0001 kWh and V 40.0007 kWh: 37.387375195 yuan; fen by fen it would be 37.38.
    assert payable_fen((0, 0, 100_001, 400_007), PRICES_E5) == 3739


@pytest.mark.parametrize(("energy_dwh", "amount_e4"), [(1, 1), (50_000, 50_000), (4, 4)])
def test_amounts_round_half_up(energy_dwh: int, amount_e4: int) -> None:
    model = BillingModel("0001", ((100_000, 0),) * 4, (0,) * 48)
    assert model.amount_e4(0, energy_dwh) == amount_e4
    half = BillingModel("0001", ((50_000, 0),) * 4, (0,) * 48)
    assert half.amount_e4(0, 1) == 1  # 0.5e-4 yuan
    assert half.amount_e4(0, 3) == 2  # 1.5e-4 yuan


def test_losses_are_added_where_the_model_asks_for_them() -> None:
    model = BillingModel("0001", ((100_000, 0),) * 4, (0,) * 48, loss_percent=5)
    assert model.loss_adjusted_dwh(10_000) == 10_500
    assert model.amount_e4(0, 10_000) == 10_500


def test_meter_counts_exactly() -> None:
    meter = Meter(100)
    # 500.0 V x 100.0 A for 7.2 ms is 360 J, one tenth of a watt-hour.
    for _ in range(35):
        meter.count(5000, 1000, 2)
    assert meter.reading_dwh == 109
    meter.count(5000, 1000, 2)
    assert meter.reading_dwh == 110


def test_slots_follow_the_local_half_hours() -> None:
    assert slot_at(instant("2026-11-22T06:59:59.999+08:00"), SHANGHAI) == (13, 1)
    assert slot_at(instant("2026-11-22T07:00:00+08:00"), SHANGHAI) == (14, 1_800_000)
    # The clocks go back in Berlin: slot 4 comes twice.
    berlin = ZoneInfo("Europe/Berlin")
    assert slot_at(instant("2026-10-25T02:15:00+02:00"), berlin)[0] == 4
    assert slot_at(instant("2026-10-25T02:15:00+01:00"), berlin)[0] == 4


def charging(limits: Limits, **changes: object) -> Connector:
    """A connector that gives 400 V and 100 A, 40 kW, from 14:20 local time."""
    car = Car(
        vin="LVWSIM00000000001",
        chemistry=Chemistry(3, 4.0, 4.0, 4.2),
        cells=100,
        capacity_kwh=1000.0,
        current_max_a=100.0,
        connectors_in_use=1,
    )
    connector = Connector(1, Meter(5_000_000), 120_000, 2500, SHANGHAI, car)
    start_ms = instant("2026-11-22T14:20:00+08:00")
    connector.charge = Charge(
        transaction_no="0" * 32,
        start_mode=2,
        physical_card="",
        car=car,
        split=PeriodSplit(MODEL, 5_000_000),
        started_ms=start_ms,
        device_started_ms=start_ms,
        meter_start_dwh=5_000_000,
        balance_fen=None,
        limits=limits,
    )
    for name, value in changes.items():
        setattr(connector.charge, name, value)
    connector.begin(start_ms)
    return connector


def test_energy_is_attributed_at_the_half_hour() -> None:
    connector = charging(Limits())
    # Peak until 15:00, flat after it.
    assert (MODEL.slots[28], MODEL.slots[30]) == (1, 2)
    connector.advance(instant("2026-11-22T15:10:00+08:00"), 0)
    assert connector.charge is not None
    # 40 kW: 40 minutes peak, 10 minutes flat.
    assert connector.charge.split.period_dwh == [0, 266_666, 66_667, 0]
    assert connector.meter.reading_dwh == 5_333_333


def test_a_wrong_clock_attributes_wrongly_but_loses_nothing() -> None:
    connector = charging(Limits())
    connector.advance(instant("2026-11-22T15:10:00+08:00"), -12 * 3_600_000)
    assert connector.charge is not None
    assert connector.charge.split.period_dwh == [0, 0, 0, 333_333]


def test_an_energy_limit_ends_the_current_within_a_step() -> None:
    connector = charging(Limits(energy_dwh=100_000))
    assert connector.advance(instant("2026-11-22T18:00:00+08:00"), 0) == 0x42
    charge = connector.charge
    assert charge is not None
    assert not charge.flowing
    assert 100_000 <= charge.split.energy_dwh <= 100_000 + 556  # 5 s of 40 kW
    assert charge.ended_ms == instant("2026-11-22T14:35:00+08:00")


def test_the_balance_ends_the_current() -> None:
    connector = charging(Limits(), balance_fen=1000)
    assert connector.advance(instant("2026-11-22T18:00:00+08:00"), 0) == 0x6E
    assert connector.charge is not None
    assert 100_000 <= connector.charge.split.amount_e4 <= 101_000


def test_power_is_bounded_by_the_connector() -> None:
    connector = charging(Limits())
    assert connector.output() == (4000, 1000)
    assert connector.output(power_percent=30) == (4000, 900)  # 36 kW
    connector.rated_da = 500
    assert connector.output() == (4000, 500)


def test_a_tariff_with_an_unknown_period_is_refused() -> None:
    fields = tariff_fields("32010600019236") | {"slots": bytes([4] * 48)}
    with pytest.raises(ValueError, match="slots"):
        BillingModel.from_message(TariffAnswer(**fields))
