"""The gateway over real sockets: from login to a confirmed record."""

from __future__ import annotations

from edge.devices.chargers import reports, wishes
from edge.devices.chargers.ykc import messages
from shared.contracts.words import RefusalReason
from tests.component.gateway_support import (
    NUMBER,
    OTHER,
    TX,
    Charger,
    Station,
    frame,
    login,
    realtime,
    record,
)


async def test_a_whole_charge_from_login_to_confirmed_record() -> None:
    async with Station() as station, Charger(station.port) as charger:
        charger.send(frame(login(), b"\x12\x34"))
        answer = await charger.expect(messages.LoginAnswer)
        assert (answer.charge_point_no, answer.result) == (NUMBER, 0)
        assert charger.last.sequence == b"\x12\x34"
        assert (await charger.expect(messages.TimeSync)).charge_point_no == NUMBER
        assert [(await charger.expect(messages.ReadRealtime)).connector_no for _ in "12"] == [1, 2]

        charger.send(frame(messages.Heartbeat(NUMBER, 1, 0), b"\x02\x00"))
        await charger.expect(messages.HeartbeatAnswer)
        assert charger.last.sequence == b"\x02\x00"

        charger.send(realtime())
        (sampled,) = await station.wait_for(reports.ConnectorSampled)
        assert sampled.state is reports.WireState.IDLE
        assert (sampled.cable_temp_c, sampled.loss_energy_dwh) == (25, 51234)

        start = wishes.StartRemotely(
            charge_point_no=NUMBER, wish_no=5, connector_no=1, transaction_no=TX, balance_fen=5000
        )
        assert station.gateway.send(start)
        asked = await charger.expect(messages.RemoteStart)
        assert (asked.transaction_no, asked.balance_fen) == (TX, 5000)
        charger.send(messages.RemoteStartAnswer(TX, NUMBER, 1, 1, 0))
        (started,) = await station.wait_for(reports.StartAnswered)
        assert (started.transaction_no, started.started) == (TX, True)

        charger.send(frame(record(), b"\x77\x01"))
        (received,) = await station.wait_for(reports.RecordReceived)
        assert received.record.transaction_no == TX
        assert not received.clock_suspect
        charger.send(messages.Heartbeat(NUMBER, 1, 0))
        await charger.expect(messages.HeartbeatAnswer)  # and no 0x40 before it: nothing is stored
        assert 0x40 not in [raw[5] for _, way, raw in station.log.lines if way == ">"]
        assert station.gateway.confirm(NUMBER, received.token)
        confirmed = await charger.expect(messages.RecordConfirm)
        assert (confirmed.transaction_no, confirmed.result) == (TX, 0)
        assert charger.last.sequence == b"\x77\x01"
        assert not station.gateway.confirm(NUMBER, received.token)


async def test_an_unknown_number_is_refused_and_closed() -> None:
    async with Station() as station, Charger(station.port) as charger:
        charger.send(login(OTHER))
        assert (await charger.expect(messages.LoginAnswer)).result == 1
        await charger.closed()
        (asked,) = station.of(reports.LoginRequested)
        assert (asked.charge_point_no, asked.firmware, asked.protocol_version) == (
            OTHER,
            "1.0.3",
            "1.6",
        )
        assert station.gateway.connected() == ()
        assert not station.of(reports.LoggedIn)


async def test_a_card_start_is_answered() -> None:
    async with Station() as station, Charger(station.port) as charger:
        await charger.log_in()
        card = "00000000d14b0a54"
        asked = messages.StartRequest(NUMBER, 1, 1, 0, card, "", "")
        charger.send(frame(asked, b"\x09\x00"))
        (request,) = await station.wait_for(reports.StartRequested)
        assert (request.token, request.password) == (card, "")
        station.gateway.send(
            wishes.AnswerStart(
                charge_point_no=NUMBER,
                request_no=request.request_no,
                connector_no=1,
                accepted=False,
                reason=RefusalReason.OUT_OF_SERVICE,
                transaction_no=TX,
            )
        )
        answer = await charger.expect(messages.StartRequestAnswer)
        assert (answer.authorized, answer.reason) == (0, 5)
        assert charger.last.sequence == b"\x09\x00"
