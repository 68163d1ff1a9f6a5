"""Single fields: times, BCD, temperatures, text, and the errors of building."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.dialect import DIALECTS, YKC16
from edge.devices.chargers.ykc.fields import Cp56Time, bms_current_da, clean_text, temperature_c
from shared.errors import MalformedMessageError

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NO = "32010600019236"


def test_cp56_of_the_document() -> None:
    time = Cp56Time.parse(bytes.fromhex("98b70e11100314"))
    assert time.to_utc(SHANGHAI) == datetime(2020, 3, 16, 9, 14, 47, tzinfo=UTC)
    assert time.build().hex() == "98b70e11100314"
    assert time.flags == ""


def test_cp56_flags_do_not_change_the_time() -> None:
    plain, flagged = bytes.fromhex("98b70e11100314"), bytes.fromhex("98b7ced170f394")
    time = Cp56Time.parse(flagged)
    assert time.to_local() == Cp56Time.parse(plain).to_local()
    assert (time.weekday, time.invalid, time.summer) == (3, True, True)
    assert time.build() == flagged


@pytest.mark.parametrize(
    "raw",
    ["00000000000000", "60ea0e11100314", "98b73c11100314", "98b70e18100314", "98b70e111e0214"],
    ids=["all zero", "60 s", "60 min", "24 h", "30 February"],
)
def test_impossible_time_is_none(raw: str) -> None:
    time = Cp56Time.parse(bytes.fromhex(raw))
    assert time.to_local() is None
    assert time.to_utc(SHANGHAI) is None


def test_cp56_from_utc_keeps_milliseconds() -> None:
    instant = datetime(2026, 11, 22, 6, 3, 22, 123999, tzinfo=UTC)
    time = Cp56Time.from_utc(instant, SHANGHAI)
    assert time.to_local() == datetime(2026, 11, 22, 14, 3, 22, 123000)  # noqa: DTZ001
    assert time.to_utc(SHANGHAI) == instant.replace(microsecond=123000)


def test_cp56_in_a_fold_takes_the_reading_nearest_to_ours() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    time = Cp56Time.from_utc(second, BERLIN)
    assert time == Cp56Time.from_utc(first, BERLIN)
    assert time.to_utc(BERLIN) == first
    assert time.to_utc(BERLIN, near=second) == second
    assert time.to_utc(BERLIN, near=first) == first


@pytest.mark.parametrize(
    "instant",
    [datetime(2026, 11, 22), datetime(1999, 1, 1, tzinfo=UTC), datetime(2128, 6, 1, tzinfo=UTC)],  # noqa: DTZ001
)
def test_cp56_refuses_what_it_cannot_say(instant: datetime) -> None:
    with pytest.raises(ValueError, match=r"zone|year"):
        Cp56Time.from_utc(instant, SHANGHAI)


def test_cp56_refuses_fields_wider_than_their_bits() -> None:
    time = Cp56Time(0, 0, 0, 1, 1, 26)
    with pytest.raises(ValueError, match="minute is 64"):
        msgspec.structs.replace(time, minute=64).build()


def test_connector_is_bcd_and_keeps_bytes_that_are_not() -> None:
    body = bytes.fromhex(NO)
    ten = messages.ReadRealtime.parse(body + b"\x10")
    odd = messages.ReadRealtime.parse(body + b"\x0a")
    assert (ten.connector_no, odd.connector_no) == (10, 256 + 0x0A)
    assert odd.build() == body + b"\x0a"
    assert messages.ReadRealtime(NO, 12).build()[-1] == 0x12


def test_identifiers_tolerate_letters() -> None:
    message = messages.TariffRequest.parse(bytes.fromhex("8986d11722d034"))
    assert message.charge_point_no == "8986d11722d034"
    assert messages.TariffRequest("8986D11722D034").build() == message.build()


def test_temperature_zero_is_not_given() -> None:
    assert (temperature_c(0), temperature_c(1), temperature_c(255)) == (None, -49, 205)


def test_bms_current_is_a_magnitude() -> None:
    assert (bms_current_da(568), bms_current_da(7432), bms_current_da(4000)) == (3432, 3432, 0)


def test_limits_of_zero_are_not_given() -> None:
    limits = messages.Parameters.parse(bytes(45))
    assert limits.temp_max_c is None
    assert limits.current_max_da is None
    assert limits.output_current_max_da is None
    assert limits.output_current_min_da is None
    assert messages.Handshake.parse(bytes(73)).production_year is None


def test_vin_is_backwards_in_start_requests_only() -> None:
    vin = "LSVAA4182E2184847"
    request = messages.StartRequest(NO, 1, 3, 0, "0" * 16, "", vin)
    assert request.build()[34:51] == vin.encode()[::-1]
    assert messages.StartRequest.parse(request.build()) == request
    handshake = messages.Handshake.parse(bytes(73))
    handshake = msgspec.structs.replace(handshake, vin=vin)
    assert handshake.build()[48:65] == vin.encode()


def test_padding_inside_text_is_kept() -> None:
    body = bytes.fromhex(NO) + b"\x00\x02\x10" + b"V1\x00\x00 x\x00\x00" + bytes(12)
    login = messages.Login.parse(body)
    assert login.program_version == "V1\x00\x00 x"
    assert login.build() == body
    assert clean_text("\xff\xff VIN \x00") == "VIN"


def test_periods_of_a_record_are_sharp_peak_flat_valley() -> None:
    body = bytearray(158)
    for index in range(16):
        body[38 + 4 * index] = index + 1
    record = messages.TransactionRecord.parse(bytes(body))
    assert [tuple(part) for part in record.periods] == [
        (1, 2, 3, 4),
        (5, 6, 7, 8),
        (9, 10, 11, 12),
        (13, 14, 15, 16),
    ]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: messages.LoginAnswer("3201", 0), "charge_point_no"),
        (lambda: messages.LoginAnswer("32 1060001923", 0), "charge_point_no"),
        (lambda: messages.LoginAnswer("3201060001923x", 0), "charge_point_no"),
        (lambda: messages.LoginAnswer(NO, 256), "result"),
        (lambda: messages.LoginAnswer(NO, -1), "result"),
        (lambda: messages.ReadRealtime(NO, 100), "connector_no"),
        (lambda: messages.BalanceUpdate(NO, 1, "0" * 16, 1 << 32), "balance_fen"),
        (lambda: messages.Update(NO, 1, 1, "h" * 17, 21, "", "", "", 1, 1), "host"),
        (lambda: messages.Update(NO, 1, 1, "h", 21, "用户", "", "", 1, 1), "user"),
        (lambda: messages.TariffSet(NO, "0001", *[0] * 9, b"\x00" * 47), "slots"),
        (lambda: messages.OfflineCardsClear(NO, ("12",)), "card"),
        (lambda: messages.OfflineCardsClear(NO, ("0" * 16,) * 256), "cards"),
        (
            lambda: messages.OfflineCardsClearAnswer(
                NO,
                (messages.ClearedCard("0" * 16, 1, 0), messages.ClearedCard("0" * 16, None, 0)),
            ),
            "cards",
        ),
        (lambda: messages.OfflineCardsQueryAnswer(NO, (), tail=b"x"), "tail"),
        (lambda: messages.QrPrefix(NO, 0, "x" * 256), "prefix"),
    ],
)
def test_impossible_message_is_a_value_error_that_names_the_field(make: Any, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make().build()


def test_too_wide_five_byte_reading() -> None:
    record = messages.TransactionRecord.parse(bytes(158))
    with pytest.raises(ValueError, match="meter_end_dwh"):
        msgspec.structs.replace(record, meter_end_dwh=1 << 40).build()


@pytest.mark.parametrize(
    ("kind", "size"), [(0x01, 29), (0x01, 31), (0x44, 7), (0x45, 6), (0x45, 15)]
)
def test_size_that_cannot_be_read(kind: int, size: int) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        messages.parse(kind, bytes(size))
    assert caught.value.kind == kind
    assert str(size) in caught.value.reason


def test_longer_bodies_are_accepted_where_the_dialect_says() -> None:
    body = bytes(45)
    with pytest.raises(MalformedMessageError):
        messages.parse(0x34, body, YKC16)
    message = messages.parse(0x34, body, DIALECTS["ylc"])
    assert message is not None
    assert (message.tail, message.build()) == (b"\x00", body)


def test_unknown_and_foreign_kinds_are_none() -> None:
    assert messages.parse(0x71, bytes(26)) is None
    assert messages.parse(0x52, bytes(13), DIALECTS["ylc"]) is None


def test_cleared_cards_prefer_the_size_with_a_flag() -> None:
    answer = messages.OfflineCardsClearAnswer.parse(bytes(7 + 90))
    assert len(answer.cards) == 9
    assert answer.cards[0].cleared == 0


def test_places_of_passwords() -> None:
    places = messages.PASSWORD_PLACES
    assert places == {0x31: slice(18, 34), 0xA1: slice(18, 34), 0x94: slice(44, 60)}


@pytest.mark.parametrize("kind", messages.MESSAGES)
def test_odd_kinds_are_uplink_and_every_class_is_in_the_table_once(kind: int) -> None:
    message = messages.MESSAGES[kind]
    assert kind == message.KIND
    assert bool(kind % 2) == message.UPLINK
    assert message.NAME
    assert message.NAME_ZH
    assert list(messages.MESSAGES.values()).count(message) == 1
