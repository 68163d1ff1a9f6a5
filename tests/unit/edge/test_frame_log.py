"""The frame log on a real disk: format, secrets, days, torn lines, references."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

from edge.devices.chargers.registry import PROTOCOLS
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.decode import decode_lines
from edge.frame_files import read_day
from edge.frame_log import FrameLog
from shared.clock import to_ms
from tests.component.gateway_support import NUMBER, ZONE, frame, realtime, record

AT = datetime(2026, 11, 22, 6, 3, 22, 123456, tzinfo=UTC)
YKC = PROTOCOLS["ykc"]


def append(log: FrameLog, frames: list[tuple[str, str, bytes]], at: datetime) -> None:
    log.append(frames, to_ms(at) * 1000 + at.microsecond % 1000)


@pytest.fixture
def log(tmp_path: Path) -> FrameLog:
    return FrameLog(
        tmp_path / "frames",
        ZONE,
        redact=YKC.redact,
        is_record=YKC.is_record,
        is_plain=YKC.is_plain,
        retention_days=400,
        size_max_bytes=1 << 30,
    )


def test_a_line_is_as_agreed(log: FrameLog, tmp_path: Path) -> None:
    raw = frame(realtime())
    append(log, [(NUMBER, "<", raw), (NUMBER, ">", b"\x68"), ("", "!", b"\x01\x02")], AT)
    log.flush()
    path = tmp_path / "frames" / NUMBER / "2026-11-22.hex"
    assert path.read_text() == (
        f"2026-11-22T14:03:22.123456+08:00 < {raw.hex()}\n2026-11-22T14:03:22.123456+08:00 > 68\n"
    )
    unknown = tmp_path / "frames" / "_unknown" / "2026-11-22.hex"
    assert unknown.read_text().endswith(" ! 0102\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each[1:] for each in read_day(path)] == [("<", raw), (">", b"\x68")]
    assert next(read_day(path))[0] == AT


def test_the_day_is_the_stations(log: FrameLog, tmp_path: Path) -> None:
    midnight = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    append(log, [(NUMBER, "<", b"\x01")], midnight - timedelta(microseconds=1))
    append(log, [(NUMBER, "<", b"\x02")], midnight)
    log.flush()
    folder = tmp_path / "frames" / NUMBER
    assert sorted(path.name for path in folder.iterdir()) == ["2026-11-22.hex", "2026-11-23.hex"]


@pytest.mark.parametrize(
    "message",
    [
        messages.StartRequest(NUMBER, 1, 1, 1, "00000000d14b0a54", "0123456789abcdef", ""),
        messages.ParallelStartRequest(
            NUMBER, 1, 1, 1, "00000000d14b0a54", "0123456789abcdef", "", 0, "261122140000"
        ),
        messages.Update(NUMBER, 1, 120, "10.0.0.1", 21, "u", "0123456789abcdef", "/f", 1, 5),
    ],
)
def test_passwords_are_zeroed_and_the_line_says_so(
    log: FrameLog, tmp_path: Path, message: messages.Message
) -> None:
    append(log, [(NUMBER, "<", frame(message))], AT)
    log.flush()
    text = (tmp_path / "frames" / NUMBER / "2026-11-22.hex").read_text()
    assert text.endswith(" redacted\n")
    assert b"0123456789abcdef".hex() not in text
    (decoded,) = decode_lines(text)
    assert (decoded["crc"], decoded["mark"]) == ("low_first", "redacted")
    assert decoded["fields"]["password"] == ""
    assert decoded["fields"]["charge_point_no"] == NUMBER


@pytest.mark.parametrize("head", ["68ff00000013", "00{size:02x}00000013"])
def test_a_password_in_what_only_looks_like_a_frame_is_zeroed(
    log: FrameLog, tmp_path: Path, head: str
) -> None:
    start = messages.StartRequest(NUMBER, 1, 1, 1, "00000000d14b0a54", "0123456789abcdef", "")
    torn = frame(start)[:-1]
    raw = bytes.fromhex(head.format(size=len(torn) + 2)) + torn
    append(log, [(NUMBER, "!", raw)], AT)
    log.flush()
    text = (tmp_path / "frames" / NUMBER / "2026-11-22.hex").read_text()
    assert text.endswith(" redacted\n")
    assert b"0123456789abcdef".hex() not in text


def test_a_start_without_a_password_stays_as_it_was(log: FrameLog, tmp_path: Path) -> None:
    raw = frame(messages.StartRequest(NUMBER, 1, 1, 0, "00000000d14b0a54", "", ""))
    append(log, [(NUMBER, "<", raw)], AT)
    log.flush()
    text = (tmp_path / "frames" / NUMBER / "2026-11-22.hex").read_text()
    assert text.endswith(f"< {raw.hex()}\n")


def test_records_have_a_second_copy(log: FrameLog, tmp_path: Path) -> None:
    raw = frame(record())
    append(log, [(NUMBER, "<", frame(realtime())), (NUMBER, "<", raw), ("", "<", raw)], AT)
    log.flush()
    text = (tmp_path / "frames" / "records.hex").read_text()
    assert text == f"2026-11-22T14:03:22.123456+08:00 < {raw.hex()}\n"


def test_a_torn_line_stays_alone(log: FrameLog, tmp_path: Path) -> None:
    path = tmp_path / "frames" / NUMBER / "2026-11-22.hex"
    path.parent.mkdir(parents=True)
    path.write_text("2026-11-22T14:03:21.000000+08:00 < 6801\n2026-11-22T14:03:21.5000")
    append(log, [(NUMBER, "<", b"\x02")], AT)
    log.flush()
    assert [raw for _, _, raw in read_day(path)] == [b"\x68\x01", b"\x02"]


def test_closed_days_are_compressed_and_old_ones_removed(log: FrameLog, tmp_path: Path) -> None:
    for days in (0, 1, 2, 500):
        append(log, [(NUMBER, "<", bytes([days & 0xFF]))], AT - timedelta(days=days))
    log.flush()
    log.maintain(AT)
    folder = tmp_path / "frames" / NUMBER
    assert sorted(path.name for path in folder.iterdir()) == [
        "2026-11-20.hex.zst",
        "2026-11-21.hex.zst",
        "2026-11-22.hex",
    ]
    assert log.stats.removed_files == 1
    # A line that comes late for a closed day is neither lost nor does it lose the others.
    append(log, [(NUMBER, "<", b"\xaa")], AT - timedelta(days=1))
    log.flush()
    log.maintain(AT)
    assert [raw for _, _, raw in read_day(folder / "2026-11-21.hex.zst")] == [b"\x01", b"\xaa"]
    assert stat.S_IMODE((folder / "2026-11-21.hex.zst").stat().st_mode) == 0o600


def test_the_oldest_days_give_way_to_the_size_cap_but_never_today(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "frames", ZONE, size_max_bytes=10)
    for days in (0, 1, 2):
        append(log, [(NUMBER, "<", b"\x01")], AT - timedelta(days=days))
    log.flush()
    log.maintain(AT)
    assert [path.name for path in (tmp_path / "frames" / NUMBER).iterdir()] == ["2026-11-22.hex"]
    assert log.stats.removed_files == 2


def test_references_name_lines_that_can_be_fetched(log: FrameLog) -> None:
    for second in range(10):
        append(log, [(NUMBER, "<", bytes([second]))], AT + timedelta(seconds=second))
    since, until = AT + timedelta(seconds=3), AT + timedelta(seconds=5)
    (reference,) = log.reference(NUMBER, since, until)
    assert (reference.first_line, reference.last_line) == (4, 6)
    lines = log.read_lines(reference.file, reference.first_line, reference.last_line)
    assert [line.split()[2] for line in lines.splitlines()] == [b"03", b"04", b"05"]
    assert hashlib.sha256(lines).hexdigest() == reference.sha256
    log.maintain(AT + timedelta(days=1))  # compressed by now: still the same lines
    assert log.read_lines(reference.file, 4, 6) == lines
    assert log.reference(NUMBER, since, until) == (reference,)
    assert log.reference("0" * 14, since, until) == ()


@pytest.mark.parametrize(
    "file",
    ["../state.db", "/etc/passwd", f"{NUMBER}/../../x.hex", "records.hex", "x/2026-11-22.hex"],
)
def test_only_day_files_can_be_fetched(log: FrameLog, file: str) -> None:
    with pytest.raises(ValueError, match="no file of the frame log"):
        log.read_lines(file, 1, 2)


def test_a_disk_that_fails_is_counted_and_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text("a file where the folder should be")
    log = FrameLog(tmp_path / "frames", ZONE)
    append(log, [(NUMBER, "<", b"\x01")], AT)
    log.flush()
    assert (log.stats.lost, log.stats.write_errors, log.stats.written) == (1, 1, 0)


def test_a_full_disk_with_torn_lines_uses_up_no_files(
    log: FrameLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "frames" / NUMBER / "2026-11-22.hex"
    path.parent.mkdir(parents=True)
    path.write_text("torn")

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        append(log, [(NUMBER, "<", b"\x01")], AT)
        log.flush()
    assert log.stats.write_errors == 50
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_many_charge_points_need_few_open_files(log: FrameLog, tmp_path: Path) -> None:
    for n in range(300):
        append(log, [(f"{n:014d}", "<", b"\x01")], AT)
    log.flush()
    for n in range(300):
        append(log, [(f"{n:014d}", "<", b"\x02")], AT)
    log.close()
    assert log.stats.written == 600
    path = tmp_path / "frames" / f"{0:014d}" / "2026-11-22.hex"
    assert [raw for _, _, raw in read_day(path)] == [b"\x01", b"\x02"]


def test_the_second_copy_of_records_does_not_grow_for_ever(log: FrameLog, tmp_path: Path) -> None:
    first, later, last = AT, AT + timedelta(days=31), AT + timedelta(days=62)
    for at, tx in ((first, "1" * 32), (later, "2" * 32), (last, "3" * 32)):
        log.maintain(at)
        append(log, [(NUMBER, "<", frame(record(tx=tx)))], at)
        log.flush()
    assert [at for at, _ in log.records_since(AT)] == [later, last]
    assert [raw for _, raw in log.records_since(last)] == [frame(record(tx="3" * 32))]
    assert len(list((tmp_path / "frames").glob("records*"))) == 2


def test_strangers_fill_neither_the_disk_nor_the_memory(tmp_path: Path) -> None:
    log = FrameLog(
        tmp_path, ZONE, size_max_bytes=400, unknown_day_max_bytes=300, pending_max_bytes=500
    )
    yesterday = AT - timedelta(days=1)
    for at in (yesterday, AT):
        for _ in range(10):
            append(log, [("", "!", bytes(50))], at)
            append(log, [(NUMBER, "<", bytes(10))], at)
            log.flush()
    assert log.stats.dropped == 16
    assert (tmp_path / "_unknown" / "2026-11-22.hex").stat().st_size <= 300
    log.maintain(AT)
    assert [path.name for path in (tmp_path / "_unknown").iterdir()] == ["2026-11-22.hex"]
    append(log, [("", "!", bytes(300))], AT)
    append(log, [("", "!", bytes(300)), ("", "!", b"1")], AT)
    assert log.stats.dropped == 18
    log.flush()
    append(log, [("", "!", bytes(300))], AT)
    assert log.stats.dropped == 19  # no room in the day, but again in memory


def test_compressing_a_day_keeps_no_record_waiting(
    log: FrameLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, [(NUMBER, "<", b"\x01")], AT)
    log.flush()
    compressor = zstandard.ZstdCompressor

    class Slow:
        def __init__(self, level: int) -> None:
            self._real = compressor(level=level)

        def copy_stream(self, source: BinaryIO, out: BinaryIO) -> tuple[int, int]:
            copied = self._real.copy_stream(source, out)
            append(log, [(NUMBER, "<", b"\x02")], AT)
            log.flush()  # would wait for ever for the lock
            return copied

    with monkeypatch.context() as patch:
        patch.setattr("edge.frame_log.zstandard.ZstdCompressor", Slow)
        log.maintain(AT + timedelta(days=1))
    log.maintain(AT + timedelta(days=1))
    (path,) = (tmp_path / "frames" / NUMBER).iterdir()
    assert path.suffix == ".zst"
    assert [raw for _, _, raw in read_day(path)] == [b"\x01", b"\x02"]
