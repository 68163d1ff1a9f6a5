"""Login, tariff, heartbeats, time: what keeps a charge point in touch with its platform.

Order after a connection: 01, 05, stored 13 and 3B, 09 when the tariff differs, then heartbeats
and live data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.devices.chargers.ykc.frames import Frame
from edge.devices.chargers.ykc.messages import (
    Heartbeat,
    HeartbeatAnswer,
    Login,
    LoginAnswer,
    Message,
    ReadRealtime,
    Realtime,
    TariffAnswer,
    TariffBody,
    TariffCheck,
    TariffCheckAnswer,
    TariffRequest,
    TariffSet,
    TariffSetAnswer,
    TimeSync,
    TimeSyncAnswer,
)
from ops.sim import wire
from ops.sim.meter import BillingModel
from shared.clock import to_ms

if TYPE_CHECKING:
    from ops.sim.machine import Machine

_STORED_MAX = 500
_NO_TARIFF = "0000"


class Session:
    """The conversation's frame: logged in or not, which tariff is held."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.logged_in = False
        self.ready = False  # logged in and the stored frames are sent: live data may flow
        self.stored: list[bytes] = []  # bodies of 0x13 from the time without a platform
        self._unanswered = 0
        self._login_sent_s = 0.0

    @property
    def model(self) -> BillingModel | None:
        """The tariff that this charge point holds, through power cuts."""
        return self._machine.book.device(self._machine.no).model

    def handlers(self) -> dict[type[Message], Callable[[Any, bytes], None]]:
        """Return who handles which frame."""
        return {
            LoginAnswer: self._on_login_answer,
            HeartbeatAnswer: self._on_heartbeat_answer,
            TariffCheckAnswer: self._on_check_answer,
            TariffAnswer: self._on_tariff,
            TariffSet: self._on_tariff_set,
            TimeSync: self._on_time_sync,
            ReadRealtime: self._on_read,
        }

    def begin(self) -> None:
        """A connection is there: log in."""
        self.logged_in = self.ready = False
        self._unanswered = 0
        if not self._machine.faults.no_login:
            self._log_in()

    def end(self) -> None:
        """The connection is gone."""
        self.logged_in = self.ready = False
        for name in ("login", "check", "tariff", "heartbeat", "idle", "flood"):
            self._machine.timers.cancel(name)

    def _log_in(self) -> None:
        machine = self._machine
        self._login_sent_s = machine.clock.monotonic_s()
        machine.timers.set("login", machine.timing.login_retry_s, self._log_in)
        machine.send(self._login())

    def login_frame(self) -> bytes:
        """Return a login as it stands on the wire, for a second connection."""
        login = self._login()
        return Frame(login.KIND, login.build()).build()

    def _login(self) -> Login:
        machine, spec = self._machine, self._machine.spec
        return Login(
            charge_point_no=machine.no,
            charge_point_type=spec.charge_point_type,
            connector_count=spec.connectors,
            protocol_version=spec.protocol_version,
            program_version=machine.device.program_version,
            network_type=1,
            sim_no=spec.sim_no,
            operator=4,
        )

    def _on_login_answer(self, answer: LoginAnswer, _sequence: bytes) -> None:
        machine = self._machine
        machine.timers.cancel("login")
        if answer.result != 0 or answer.charge_point_no != machine.no:
            machine.emit("login_refused", result=answer.result)
            machine.close("login refused")
            return
        if self.logged_in:
            return
        self.logged_in = True
        latency_s = machine.clock.monotonic_s() - self._login_sent_s
        machine.emit("logged_in", latency_ms=round(latency_s * 1000, 3))
        if machine.spec.replay_first:
            self._replay()
        self._check_tariff()

    def _check_tariff(self) -> None:
        machine = self._machine
        machine.timers.set("check", machine.timing.tariff_retry_s, self._check_tariff)
        tariff_no = self.model.model_no if self.model else _NO_TARIFF
        machine.send(TariffCheck(charge_point_no=machine.no, tariff_no=tariff_no))

    def _on_check_answer(self, answer: TariffCheckAnswer, _sequence: bytes) -> None:
        machine = self._machine
        if not machine.timers.running("check"):
            return
        machine.timers.cancel("check")
        if not machine.spec.replay_first:
            self._replay()
        if answer.result == 0 and self.model is not None:
            self._become_ready()
        else:
            self._request_tariff()

    def _replay(self) -> None:
        machine = self._machine
        for body in self.stored:
            machine.send_body(Realtime.KIND, body)
        self.stored.clear()
        machine.records.replay()

    def _request_tariff(self) -> None:
        machine = self._machine
        if machine.timers.running("tariff_asked"):
            # Not answered: without a tariff nothing charges, but the platform shall see us.
            self._become_ready()
        machine.timers.set("tariff_asked", machine.timing.tariff_retry_s * 1.5, lambda: None)
        machine.timers.set("tariff", machine.timing.tariff_retry_s, self._request_tariff)
        machine.send(TariffRequest(charge_point_no=machine.no))

    def _hold(self, message: TariffBody) -> bool:
        machine = self._machine
        try:
            model = BillingModel.from_message(message)
        except ValueError as error:
            machine.emit("bad_tariff", reason=str(error))
            return False
        if model != self.model:
            machine.book.keep_device(machine.no, model=model)
        machine.emit("tariff_held", model_no=model.model_no)
        return True

    def _on_tariff(self, message: TariffAnswer, _sequence: bytes) -> None:
        if self._hold(message):
            self._machine.timers.cancel("tariff")
            self._machine.timers.cancel("tariff_asked")
            self._become_ready()

    def _on_tariff_set(self, message: TariffSet, sequence: bytes) -> None:
        machine = self._machine
        idle = not any(connector.charging for connector in machine.connectors.values())
        held = idle and self._hold(message)
        if held:
            machine.timers.cancel("tariff")
        machine.send(TariffSetAnswer(charge_point_no=machine.no, result=int(held)), sequence)

    def _become_ready(self) -> None:
        if self.ready or not self.logged_in:
            return
        machine = self._machine
        for body in self.stored:
            machine.send_body(Realtime.KIND, body)
        self.stored.clear()
        self.ready = True
        self._beat()
        self._report_idle()
        for connector in machine.connectors.values():
            if connector.charging:
                self.report(connector.number)
        machine.device.report_bay_locks()
        machine.emit("ready")

    def _beat(self) -> None:
        machine = self._machine
        if self._unanswered >= machine.timing.heartbeats_missed_max:
            machine.close("heartbeats unanswered")
            return
        machine.timers.set("heartbeat", machine.timing.heartbeat_s, self._beat)
        if machine.faults.no_heartbeat:
            return
        self._unanswered += 1
        status = 1 if machine.faults.fault_bits else 0
        each = machine.spec.heartbeat_each_connector
        for number in machine.connectors if each else (1,):
            machine.send(Heartbeat(charge_point_no=machine.no, connector_no=number, status=status))

    def _on_heartbeat_answer(self, _answer: HeartbeatAnswer, _sequence: bytes) -> None:
        self._unanswered = 0

    def _report_idle(self) -> None:
        machine = self._machine
        machine.timers.set("idle", machine.timing.idle_report_s, self._report_idle)
        for connector in machine.connectors.values():
            if not connector.charging:
                self.report(connector.number)

    def report(self, connector_no: int, sequence: bytes | None = None) -> None:
        """Send 0x13; without a platform it is stored, if a transaction runs."""
        machine = self._machine
        connector = machine.connectors[connector_no]
        message = wire.realtime(
            machine.no, connector, machine.faults, machine.now_ms(), machine.power_percent
        )
        if self.ready or (self.logged_in and sequence is not None):
            machine.send(message, sequence)
        elif connector.charging and len(self.stored) < _STORED_MAX:
            self.stored.append(message.build())

    def _on_read(self, message: ReadRealtime, sequence: bytes) -> None:
        machine = self._machine
        if message.connector_no in machine.connectors:
            machine.charges.update(message.connector_no)
            self.report(message.connector_no, sequence)

    def _on_time_sync(self, message: TimeSync, sequence: bytes) -> None:
        machine = self._machine
        told = message.current_time.to_utc(machine.zone, machine.clock.now())
        if told is not None:
            machine.clock_offset_set_ms = to_ms(told) - machine.now_ms()
        machine.emit("clock_set", offset_ms=machine.clock_offset_ms)
        now = wire.cp56(machine.device_ms(), machine.zone)
        machine.send(TimeSyncAnswer(charge_point_no=machine.no, current_time=now), sequence)

    def flood(self) -> None:
        """Send needless frames as long as the fault says so."""
        machine = self._machine
        if not machine.faults.flood_per_s:
            return
        pause_s = 0.02
        machine.timers.set("flood", pause_s, self.flood)
        if self.logged_in:
            for _ in range(max(1, round(machine.faults.flood_per_s * pause_s))):
                self.report(1)
