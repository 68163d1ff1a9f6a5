"""The messages between station and HQ: they round-trip, grow, and refuse what they cannot read."""

from __future__ import annotations

import typing
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import alarm_codes, asyncapi, commands, envelope, events, telemetry, topics
from shared.contracts.topics import Lane
from shared.contracts.words import SampleKind, Severity
from shared.errors import MalformedContractError

EPOCH = UUID("01234567-89ab-7def-8123-456789abcdef")
NOW = datetime(2026, 11, 22, 6, 40, tzinfo=UTC)


def _alarm(**params: str) -> events.AlarmRaised:
    return events.AlarmRaised(
        occurred_at=NOW,
        alarm_id=EPOCH,
        code="tariff_missing",
        severity=Severity.MAJOR,
        object="station",
        params=params,
    )


def test_description_for_other_languages_is_current() -> None:
    assert asyncapi.FILE.read_text(encoding="utf-8") == asyncapi.render()


def test_every_event_and_command_is_in_its_union() -> None:
    for module, root, union in (
        (events, events.Event, events.AnyEvent),
        (commands, commands.Command, commands.AnyCommand),
    ):
        made = {
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, root)
        } - {root, events.TransactionEvent}
        assert made == set(typing.get_args(union))


def test_events_survive_the_trip() -> None:
    sent = [
        _alarm(reason="x"),
        events.ChargePointLost(occurred_at=NOW, charge_point_no="1", reason="silent"),
    ]
    assert envelope.unpack_events(envelope.pack_events(sent)) == sent


def test_an_event_of_a_newer_station_is_read_without_its_new_field() -> None:
    raw = msgspec.msgpack.decode(msgspec.msgpack.encode(_alarm()))
    raw["colour"] = "new"
    body = envelope.compress(msgspec.msgpack.encode([raw]))
    assert envelope.unpack_events(body) == [_alarm()]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not zstd",
        zstandard.compress(b"\xc1"),
        zstandard.compress(b"\x91\x81\xa4type\xa3Foo"),
        zstandard.compress(bytes(envelope.UNPACKED_MAX + 1)),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedContractError):
        envelope.unpack_events(body)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    readers: list[typing.Callable[[bytes], object]] = [
        envelope.decode_uplink,
        envelope.decode_ack,
        envelope.decode_command,
        envelope.decode_status,
        envelope.unpack_events,
        telemetry.unpack_samples,
        lambda body: envelope.unpack_events(zstandard.compress(body)),
        lambda body: telemetry.unpack_samples(zstandard.compress(body)),
    ]
    for read in readers:
        try:
            read(data)
        except MalformedContractError:
            continue


def test_an_envelope_of_another_version_is_refused() -> None:
    uplink = envelope.Uplink(2, "ST1", EPOCH, Lane.BILL, 1, 0, 0, b"")
    with pytest.raises(MalformedContractError, match="version 2"):
        envelope.decode_uplink(envelope.encode(uplink))


_values = st.integers(-(2**61), 2**61)


@st.composite
def _samples(draw: st.DrawFn) -> list[telemetry.Sample]:
    samples = []
    for _ in range(draw(st.integers(1, 30))):
        kind = draw(st.sampled_from(list(SampleKind)))
        width = len(telemetry.COLUMNS[kind])
        samples.append(
            telemetry.Sample(
                kind,
                draw(st.sampled_from(["32010600019236", "55031412782305"])),
                draw(st.integers(1, 3)),
                draw(st.sampled_from([None, EPOCH, UUID(int=7)])),
                draw(st.integers(0, 2**42)),
                tuple(draw(st.lists(_values, min_size=width, max_size=width))),
            )
        )
    return samples


@given(_samples())
def test_samples_survive_the_trip_in_columns(samples: list[telemetry.Sample]) -> None:
    def key(sample: telemetry.Sample) -> str:
        return repr(sample)

    arrived = telemetry.unpack_samples(telemetry.pack_samples(samples))
    assert sorted(arrived, key=key) == sorted(samples, key=key)


def test_a_value_beyond_the_columns_is_an_error_and_not_a_short_block() -> None:
    sample = telemetry.Sample(SampleKind.BMS_STATUS, "1", 1, None, 0, (0, 0, 0, 0, 0, 0, 2**63))
    with pytest.raises(OverflowError):
        telemetry.pack_samples([sample])


def test_a_block_that_lies_about_its_size_is_refused() -> None:
    sample = telemetry.Sample(SampleKind.BMS_STATUS, "1", 1, None, 0, (0,) * 7)
    [block] = telemetry.unpack_blocks(telemetry.pack_samples([sample]))
    for lie in (
        msgspec.structs.replace(block, count=2),
        msgspec.structs.replace(block, count=telemetry.SAMPLES_MAX + 1),
        msgspec.structs.replace(block, columns=block.columns[:-1]),
        msgspec.structs.replace(block, connectors=()),
        msgspec.structs.replace(block, transaction_ids=bytes(15)),
        msgspec.structs.replace(block, times_ms=telemetry.Column("d", b"12345678")),
    ):
        body = envelope.compress(msgspec.msgpack.encode((lie,)))
        with pytest.raises(MalformedContractError):
            telemetry.unpack_samples(body)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("vw/1/ST1/up/bill", ("ST1", Lane.BILL)),
        ("vw/1/ST1/up/gossip", None),
        ("vw/1/S T/up/bill", None),
        ("vw/1/+/up/bill", None),
        ("vw/2/ST1/up/bill", None),
        ("vw/1/ST1/down/ack", None),
    ],
)
def test_uplink_topics_are_read_back(topic: str, expected: object) -> None:
    assert topics.parse_up(topic) == expected


def test_topics_are_built_as_they_are_read() -> None:
    for lane in Lane:
        assert topics.parse_up(topics.up("ST1", lane)) == ("ST1", lane)
    assert topics.parse_status(topics.status("ST1")) == "ST1"


def test_every_alarm_speaks_both_languages_with_the_same_parameters() -> None:
    import string

    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for code, entry in alarm_codes.CATALOGUE.items():
        assert entry.code == code
        assert all((entry.title_zh, entry.title_en, entry.advice_zh, entry.advice_en))
        assert names(entry.title_zh) == names(entry.title_en), code


def test_answers_and_commands_of_another_version_are_refused() -> None:
    ack = envelope.Ack(2, EPOCH, ())
    with pytest.raises(MalformedContractError, match="version 2"):
        envelope.decode_ack(envelope.encode(ack))
    command = envelope.CommandEnvelope(
        version=2,
        command_id=EPOCH,
        station_no="ST1",
        issued_at=datetime(2026, 11, 22, tzinfo=UTC),
        command=commands.ReportState(),
    )
    with pytest.raises(MalformedContractError, match="version 2"):
        envelope.decode_command(envelope.encode(command))
