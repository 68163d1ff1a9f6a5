"""A disk that is full, fails or is slow: nothing is promised that is not stored, and a battery
that gets too hot is stopped all the same (E7, E8, E9).
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from edge.devices.chargers.ykc import messages
from tests.component.edge.agent_support import write_config
from tests.component.edge.faults.support import (
    agent_process,
    beat_s,
    charger,
    disk,
    heard_by_now,
    overheat_s,
    storage_fault,
    until_confirmed,
)
from tests.component.gateway_support import NUMBER, TX, record

_TRIP_LIMIT_S = 1.0
_LAG_LIMIT_S = 0.2
_SYNC_S = 0.3


def config_on(folder: Path, tmp_path: Path) -> Path:
    """An agent whose data stands in `folder`."""
    path = write_config(tmp_path / "config")
    text = path.read_text().replace(str(tmp_path / "config" / "data"), str(folder / "data"))
    path.write_text(text)
    return path


async def test_a_full_disk_confirms_no_record_and_stops_a_hot_battery(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        config = config_on(small.folder, tmp_path)
        data_dir = small.folder / "data"
        async with agent_process(config, data_dir) as agent, charger(agent.port) as link:
            # The space that is kept for facts is gone, too.
            (data_dir / "station.db-reserve").unlink(missing_ok=True)
            small.fill()
            link.send(record())
            await agent.until_alarm("storage_failed")
            assert messages.RecordConfirm.KIND not in await heard_by_now(link)
            assert await overheat_s(link, tx=TX[:-1] + "2", pid=agent.pid) < _TRIP_LIMIT_S
            assert messages.RecordConfirm.KIND not in await heard_by_now(link)
            (small.folder / "filler").unlink()
            await until_confirmed(link)


async def test_a_failed_sync_poisons_the_file_until_it_is_read_again(tmp_path: Path) -> None:
    config, log = write_config(tmp_path), tmp_path / "strace.log"
    async with (
        agent_process(config, tmp_path / "data") as agent,
        charger(agent.port) as link,
    ):
        async with storage_fault(agent.pid, "error=EIO:when=1", log):
            await until_confirmed(link)
            assert await overheat_s(link, tx=TX[:-1] + "2", pid=agent.pid) < _TRIP_LIMIT_S
        assert NUMBER in str(await agent.ask(do="export"))
    after = log.read_text().partition("EIO")[2].splitlines()
    steps = [
        "close" if "close(" in line else "open" if "openat(" in line else "sync"
        for line in after
        if re.search(r"station\.db(>|\", O_RDWR)|station\.db-wal>\) = 0", line)
    ]
    # SQLite folds its log in when it closes; that is of no use to what has just failed.
    assert "close" in steps
    assert "open" in steps[steps.index("close") :]
    assert "sync" in steps[steps.index("open") :], "nothing was stored after the file was read back"


async def test_every_sync_failing_confirms_nothing_and_stops_a_hot_battery(tmp_path: Path) -> None:
    config, log = write_config(tmp_path), tmp_path / "strace.log"
    async with (
        agent_process(config, tmp_path / "data") as agent,
        charger(agent.port) as link,
    ):
        async with storage_fault(agent.pid, "error=EIO", log):
            link.send(record())
            await agent.until_alarm("storage_failed")
            assert messages.RecordConfirm.KIND not in await heard_by_now(link)
            assert await overheat_s(link, tx=TX[:-1] + "2", pid=agent.pid) < _TRIP_LIMIT_S
            assert messages.RecordConfirm.KIND not in await heard_by_now(link)
        await until_confirmed(link)


@pytest.mark.parametrize("delay_ms", [300])
async def test_a_slow_flash_delays_neither_heartbeats_nor_stops(
    tmp_path: Path, delay_ms: int
) -> None:
    config, log = write_config(tmp_path), tmp_path / "strace.log"
    async with (
        agent_process(config, tmp_path / "data") as agent,
        charger(agent.port) as link,
    ):
        async with storage_fault(agent.pid, f"delay_enter={delay_ms * 1000}", log):
            lags_s = []
            for number in range(1, 7):
                # Each is a commit of its own, and its confirmation waits for the disk.
                tx = f"{TX[:-1]}{number}"
                link.send(record(tx=tx))
                while True:
                    lags_s.append(await beat_s(link, pid=agent.pid))
                    if len(lags_s) > 20 * number:
                        break
                    await asyncio.sleep(0.01)
            assert max(lags_s) < _LAG_LIMIT_S
            assert await overheat_s(link, tx=f"{TX[:-1]}9", pid=agent.pid) < _LAG_LIMIT_S
        assert "DELAYED" in log.read_text()


async def test_what_comes_together_waits_for_one_sync_and_not_for_one_each(tmp_path: Path) -> None:
    config, log = write_config(tmp_path), tmp_path / "strace.log"
    numbers = [f"{TX[:-2]}{number}" for number in range(10, 40)]
    async with (
        agent_process(config, tmp_path / "data") as agent,
        charger(agent.port) as link,
        storage_fault(agent.pid, f"delay_enter={_SYNC_S * 1e6:.0f}", log),
    ):
        started_s = time.monotonic()
        for number in numbers:
            link.send(record(tx=number))
        confirmed: set[str] = set()
        while len(confirmed) < len(numbers):
            answer = await link.expect(messages.RecordConfirm)
            confirmed.add(answer.transaction_no)
        took_s = time.monotonic() - started_s
    assert confirmed == set(numbers)
    assert took_s < len(numbers) * _SYNC_S / 3
