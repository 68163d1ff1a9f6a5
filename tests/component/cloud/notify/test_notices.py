"""Notices on a real database to real servers: once, again, in bursts, when nobody answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import select

from cloud.alarms import life
from cloud.alarms import service as alarms
from cloud.alarms.models import Alarm
from cloud.alarms.notify import service
from cloud.alarms.notify.delivery import TRIES_MAX, Notifier
from cloud.alarms.notify.jobs import purge_notices
from cloud.alarms.notify.models import Channel, ChannelKind, Notice, NoticeState, Rule
from cloud.alarms.notify.senders import MailServer, Senders
from cloud.core.db import Sessions
from cloud.stations.models import Station
from shared.contracts.events import AlarmCleared, AlarmRaised
from shared.contracts.words import Severity
from tests.component.cloud.conftest import make_station, until
from tests.component.cloud.notify.servers import (
    HttpReceiver,
    SmtpReceiver,
    http_receiver,
    smtp_receiver,
)
from tests.fakes.manual_clock import ManualClock

START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Watch:
    """One operator with a station, a webhook, and a rule; time is set by hand."""

    def __init__(
        self, sessions: Sessions, station: Station, clock: ManualClock, receiver: HttpReceiver
    ) -> None:
        self.sessions = sessions
        self.station = station
        self.clock = clock
        self.receiver = receiver
        self.mail: MailServer | None = None

    async def channel(
        self, kind: ChannelKind = ChannelKind.WEBHOOK, target: str | None = None
    ) -> Channel:
        async with self.sessions() as session, session.begin():
            return await service.create_channel(
                session,
                operator_id=self.station.operator_id,
                name=f"c-{uuid4().hex[:6]}",
                kind=kind,
                target=self.receiver.url if target is None else target,
                language="en",
                by="admin",
                now=self.clock.now(),
            )

    async def rule(self, *chain: tuple[int, Channel], **changes: Any) -> Rule:
        values: dict[str, Any] = {
            "name": f"r-{uuid4().hex[:6]}",
            "severity": Severity.MINOR,
            "codes": [],
            "station_ids": [],
            "drills": False,
            "chain": [[after_min, str(channel.id)] for after_min, channel in chain],
            "repeat_min": 0,
            "on_clear": False,
            "burst_s": 60,
            "active": True,
        }
        async with self.sessions() as session, session.begin():
            return await service.save_rule(
                session,
                operator_id=self.station.operator_id,
                values=values | changes,
                by="admin",
                now=self.clock.now(),
            )

    async def raised(self, code: str = "smoke", **changes: Any) -> UUID:
        alarm_id = uuid4()
        severity = {"smoke": Severity.CRITICAL, "door_open": Severity.MINOR}[code]
        fields: dict[str, Any] = {
            "occurred_at": self.clock.now(),
            "alarm_id": alarm_id,
            "code": code,
            "severity": severity,
            "object": f"sensor:{alarm_id.hex[:6]}",
        }
        async with self.sessions() as session, session.begin():
            await alarms.raise_alarm(
                session,
                operator_id=self.station.operator_id,
                station_id=self.station.id,
                event=AlarmRaised(**(fields | changes)),
                now=self.clock.now(),
            )
            row = await session.scalar(select(Alarm).where(Alarm.alarm_id == alarm_id))
            assert row is not None
        return row.id

    async def cleared(self, row_id: UUID) -> None:
        async with self.sessions() as session, session.begin():
            alarm = await session.get_one(Alarm, row_id)
            event = AlarmCleared(
                occurred_at=self.clock.now(),
                alarm_id=alarm.alarm_id,
                code=alarm.code,
                object=alarm.object,
            )
            await alarms.clear_alarm(
                session,
                operator_id=alarm.operator_id,
                station_id=self.station.id,
                event=event,
                now=self.clock.now(),
            )

    async def acknowledged(self, row_id: UUID) -> None:
        async with self.sessions() as session, session.begin():
            await life.acknowledge(
                session,
                operator_id=self.station.operator_id,
                alarm_id=row_id,
                by="li",
                now=self.clock.now(),
            )

    async def notices(self) -> list[Notice]:
        async with self.sessions() as session:
            return list(await session.scalars(select(Notice).order_by(Notice.id)))  # type: ignore[arg-type]

    async def open_codes(self) -> set[str]:
        async with self.sessions() as session:
            rows = await session.scalars(select(Alarm).where(Alarm.cleared_at.is_(None)))  # type: ignore[union-attr]
            return {row.code for row in rows}

    @asynccontextmanager
    async def notifier(self, *, timeout_s: float = 5.0) -> AsyncIterator[Notifier]:
        senders = Senders(allowed=LOOPBACK, mail=self.mail, timeout_s=timeout_s)
        yield Notifier(
            sessions=self.sessions, senders=senders, clock=self.clock, retry_s=(5, 30, 120, 600)
        )
        await senders.close()

    async def turns(self, *minutes: float, timeout_s: float = 5.0) -> None:
        """Have a notifier look once, and again after each of these minutes."""
        async with self.notifier(timeout_s=timeout_s) as notifier:
            await turn(notifier)
            for minute in minutes:
                self.clock.advance(minute * 60)
                await turn(notifier)


async def turn(notifier: Notifier) -> None:
    """Let it plan and send until nothing is due; its tasks have ended then."""
    while True:
        async with asyncio.TaskGroup() as tasks:
            await notifier.turn(tasks)
        if not notifier._wake.is_set():
            return


@pytest.fixture
async def watch(sessions: Sessions) -> AsyncIterator[Watch]:
    station = await make_station(sessions, "S-1")
    async with http_receiver() as receiver:
        yield Watch(sessions, station, ManualClock(START), receiver)


def kinds(receiver: HttpReceiver) -> list[str]:
    return [each.kind for each in receiver.received]


async def test_an_alarm_is_told_once_and_signed(watch: Watch) -> None:
    channel = await watch.channel()
    await watch.rule((0, channel))
    await watch.raised()
    await watch.turns(1, 1)
    [notice] = await watch.notices()
    [got] = watch.receiver.received
    assert (notice.state, notice.tries, got.codes) == (NoticeState.SENT, 1, ["smoke"])
    assert got.headers["webhook-id"] == str(notice.id)
    assert got.headers["host"] == f"127.0.0.1:{watch.receiver.port}"
    key = base64.b64decode(channel.secret.removeprefix("whsec_"))
    signed = f"{notice.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert got.headers["webhook-signature"] == f"v1,{wanted}"


async def test_a_receiver_that_fails_is_tried_again_with_the_same_notice(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()))
    watch.receiver.answers = [500, 429]
    await watch.raised()
    await watch.turns(5 / 60, 30 / 60)
    [notice] = await watch.notices()
    assert (notice.state, notice.tries, notice.last_error) == (NoticeState.SENT, 3, "")
    assert len({each.headers["webhook-id"] for each in watch.receiver.received}) == 1
    assert len({each.body for each in watch.receiver.received}) == 1


async def test_a_receiver_that_is_dead_becomes_an_alarm_and_is_told_elsewhere(
    watch: Watch,
) -> None:
    gone = await watch.channel(target="http://127.0.0.1:1/")
    await watch.rule((0, gone), (0, await watch.channel()))
    await watch.raised()
    await watch.turns(1, 1, 3, 15, 1)
    dead = [each for each in await watch.notices() if each.channel_id == gone.id]
    assert [(each.state, each.tries) for each in dead] == [(NoticeState.DEAD, TRIES_MAX)]
    assert "ConnectError" in dead[0].last_error
    assert "notices_failing" in await watch.open_codes()
    # The alarm about a channel goes over the others, not over itself.
    assert [each.codes for each in watch.receiver.received] == [["smoke"], ["notices_failing"]]
    async with watch.sessions() as session, session.begin():
        channel = await session.get_one(Channel, gone.id)
        await service.change_channel(session, channel, {"target": watch.receiver.url})
        await service.redeliver(session, channel.operator_id, dead[0].id, now=watch.clock.now())
    await watch.turns()
    assert "notices_failing" not in await watch.open_codes()
    assert watch.receiver.received[-1].headers["webhook-id"] == str(dead[0].id)


async def test_a_receiver_that_hangs_delays_nobody_else(watch: Watch) -> None:
    async with http_receiver() as other:
        watch.receiver.hang = True
        slow, quick = await watch.channel(), await watch.channel(target=other.url)
        await watch.rule((0, slow), (0, quick), burst_s=0)
        await watch.raised()
        async with watch.notifier(timeout_s=2.0) as notifier, asyncio.TaskGroup() as tasks:
            await notifier.turn(tasks)
            await watch.receiver.got(1)
            await other.got(1)
            await until(lambda: idle(watch, quick))
            await watch.raised("door_open")
            await notifier.turn(tasks)
            await other.got(2)
            assert len(watch.receiver.received) == 1
    waiting = [each for each in await watch.notices() if each.channel_id == slow.id]
    assert {each.last_error for each in waiting} == {"no answer within 2 s", ""}


async def idle(watch: Watch, channel: Channel) -> bool:
    states = [each.state for each in await watch.notices() if each.channel_id == channel.id]
    return NoticeState.SENT in states


async def test_a_redirect_is_not_followed(watch: Watch) -> None:
    async with http_receiver() as inside:
        watch.receiver.answers, watch.receiver.location = [307], inside.url
        await watch.rule((0, await watch.channel()))
        await watch.raised()
        await watch.turns()
        assert inside.received == []
    [notice] = await watch.notices()
    assert notice.last_error == "answered 307"


async def test_an_inside_address_is_never_connected_to(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()))
    await watch.raised()
    senders = Senders(allowed=(), mail=None)
    await turn(Notifier(sessions=watch.sessions, senders=senders, clock=watch.clock))
    await senders.close()
    [notice] = await watch.notices()
    assert (watch.receiver.received, "use https" in notice.last_error) == ([], True)


async def test_many_alarms_are_one_notice_and_a_worse_one_is_told_at_once(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()))
    async with watch.notifier() as notifier:
        await watch.raised("door_open")
        await turn(notifier)
        for _ in range(20):
            await watch.raised("door_open")
        watch.clock.advance(1)
        await turn(notifier)
        assert [len(each.codes) for each in watch.receiver.received] == [1]
        await watch.raised("smoke")
        watch.clock.advance(1)
        await turn(notifier)
        [_, smoke] = watch.receiver.received
        assert smoke.codes == ["smoke"]
        await watch.raised("door_open")
        watch.clock.advance(61)
        await turn(notifier)
        assert watch.receiver.received[2].codes == ["door_open"] * 21


async def test_a_drill_holds_nothing_real_back(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()), drills=True)
    async with watch.notifier() as notifier:
        await watch.raised("smoke", drill=True)
        await turn(notifier)
        await watch.raised("smoke")
        watch.clock.advance(1)
        await turn(notifier)
    assert len(watch.receiver.received) == 2


async def test_nobody_answers_so_the_next_one_is_told_and_all_are_reminded(
    watch: Watch,
) -> None:
    async with http_receiver() as chief:
        first, second = await watch.channel(), await watch.channel(target=chief.url)
        await watch.rule((0, first), (10, second), repeat_min=15, on_clear=True)
        row_id = await watch.raised()
        await watch.turns(5, 5, 5)
        assert kinds(watch.receiver) == ["raised", "reminder"]
        assert kinds(chief) == ["escalated", "reminder"]
        await watch.acknowledged(row_id)
        await watch.turns(15, 60)
        assert (len(watch.receiver.received), len(chief.received)) == (2, 2)
        await watch.cleared(row_id)
        await watch.turns()
        assert (kinds(watch.receiver)[-1], kinds(chief)[-1]) == ("cleared", "cleared")


async def test_what_somebody_saw_in_time_goes_no_further(watch: Watch) -> None:
    async with http_receiver() as chief:
        first, second = await watch.channel(), await watch.channel(target=chief.url)
        await watch.rule((0, first), (10, second))
        row_id = await watch.raised()
        await watch.turns(5)
        await watch.acknowledged(row_id)
        await watch.turns(10)
        assert (kinds(watch.receiver), chief.received) == (["raised"], [])


async def test_two_workers_send_once(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()), burst_s=0)
    await watch.raised()
    async with watch.notifier() as one, watch.notifier() as two:
        watch.receiver.gate.clear()
        first = asyncio.create_task(turn(one))
        await watch.receiver.got(1)
        await turn(two)  # while the first still waits for its answer
        watch.receiver.gate.set()
        await first
        for _ in range(5):
            watch.clock.advance(1)
            await watch.raised()
            await asyncio.gather(*(turn(each) for each in (one, two, one, two)))
    ids = [each.headers["webhook-id"] for each in watch.receiver.received]
    assert len(ids) == len(set(ids)) == len(await watch.notices()) == 6


async def test_a_worker_that_dies_while_sending_leaves_it_to_the_next(watch: Watch) -> None:
    watch.receiver.hang = True
    await watch.rule((0, await watch.channel()))
    await watch.raised()
    async with watch.notifier() as dying:
        dead = asyncio.create_task(turn(dying))
        await watch.receiver.got(1)
        dead.cancel()
        await asyncio.wait({dead})
    watch.receiver.hang = False
    await watch.turns()
    assert len(watch.receiver.received) == 1  # its claim still holds
    await watch.turns(2)
    [notice] = await watch.notices()
    assert (notice.state, notice.tries) == (NoticeState.SENT, 2)
    assert {each.headers["webhook-id"] for each in watch.receiver.received} == {str(notice.id)}


async def test_a_channel_that_is_switched_off_sends_nothing_more(watch: Watch) -> None:
    watch.receiver.answers = [500]
    made = await watch.channel()
    await watch.rule((0, made))
    await watch.raised()
    await watch.turns()
    async with watch.sessions() as session, session.begin():
        channel = await session.get_one(Channel, made.id)
        await service.change_channel(session, channel, {"active": False})
    await watch.raised()
    await watch.turns(5, 5)
    assert len(watch.receiver.received) == 1


def mail_server(smtp: SmtpReceiver) -> MailServer:
    return MailServer(host="127.0.0.1", port=smtp.port, security="none", sender="hq@example.com")


async def test_an_e_mail_says_what_to_do(watch: Watch) -> None:
    async with smtp_receiver() as smtp:
        watch.mail = mail_server(smtp)
        channel = await watch.channel(ChannelKind.EMAIL, "night@example.com")
        await watch.rule((0, channel))
        await watch.raised()
        await watch.turns()
        async with asyncio.timeout(20):
            mail = await smtp.mails.get()
    [notice] = await watch.notices()
    assert mail["Subject"] == "[Critical] Alarm Station S-1: Smoke"
    assert (mail["To"], mail["Message-ID"]) == ("night@example.com", f"<{notice.id}@example.com>")
    assert "call the fire brigade" in mail.get_content()
    assert notice.state is NoticeState.SENT


@pytest.mark.parametrize("problem", ["refused", "down", "unset"])
async def test_an_e_mail_that_does_not_go_is_tried_again(watch: Watch, problem: str) -> None:
    async with smtp_receiver() as smtp:
        smtp.refuse = problem == "refused"
        watch.mail = mail_server(smtp) if problem != "unset" else None
        if problem == "down":
            watch.mail = MailServer(
                host="127.0.0.1", port=1, security="none", sender="hq@example.com"
            )
        await watch.rule((0, await watch.channel(ChannelKind.EMAIL, "night@example.com")))
        await watch.raised()
        await watch.turns()
        [notice] = await watch.notices()
        assert (notice.state, notice.tries) == (NoticeState.WAITING, 1)
        wanted = {"refused": "451", "down": "ConnectionRefused", "unset": "no mail server"}
        assert wanted[problem] in notice.last_error
        smtp.refuse, watch.mail = False, mail_server(smtp)
        await watch.turns(1)
        [notice] = await watch.notices()
        assert notice.state is NoticeState.SENT


async def test_the_log_is_a_channel_too(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    await watch.rule((0, await watch.channel(ChannelKind.LOG, "")))
    await watch.raised()
    await watch.turns()
    assert "Smoke" in caplog.text


async def test_an_alarm_that_is_put_aside_reminds_nobody_until_its_time(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()), repeat_min=15)
    row_id = await watch.raised("door_open")
    await watch.turns()
    async with watch.sessions() as session, session.begin():
        await life.shelve(
            session,
            operator_id=watch.station.operator_id,
            alarm_id=row_id,
            until=watch.clock.now() + timedelta(minutes=40),
            reason="painting",
            by="li",
            now=watch.clock.now(),
        )
    await watch.turns(16, 16)
    assert kinds(watch.receiver) == ["raised"]
    await watch.turns(9)
    assert kinds(watch.receiver) == ["raised", "reminder"]


async def test_old_notices_are_forgotten_and_the_alarm_is_not_told_again(watch: Watch) -> None:
    await watch.rule((0, await watch.channel()))
    await watch.raised()
    await watch.turns()
    watch.clock.advance(401 * 86_400)
    await purge_notices(watch.sessions, watch.clock)
    assert await watch.notices() == []
    await watch.turns()
    assert len(watch.receiver.received) == 1
