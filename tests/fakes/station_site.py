"""A real station with a real journal on a disk; only the charge points and the clock are played.

Charge points are played by publishing reports on the bus and by remembering what is wished.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from edge.bus import EventBus
from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.devices.sensors.profile import Profile
from edge.journal import Journal
from edge.journal.store import LANES
from edge.safety.ladder import Rungs
from edge.station.access import Caps
from edge.station.core import Station
from edge.station.timing import NORMAL, Timing
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.envelope import CommandEnvelope, unpack_events
from shared.contracts.telemetry import Sample
from shared.contracts.words import TokenKind
from shared.tariff import Period, PeriodPrice, Tariff, TariffVersion
from tests.fakes.manual_clock import ManualClock

CP = "32010600019236"
CP2 = "32010600019237"
CARD = "00000000D14B0A54"
TARIFF = Tariff(
    "F" * 48,
    {Period.FLAT: PeriodPrice(60_000, 40_000)},
)
VERSION = TariffVersion(
    tariff_version_id=UUID(int=7), version=1, model_no=7, tariff=TARIFF, valid_from=from_ms(0)
)
LIST = c.PublishAccessList(
    version=1,
    entries=(
        c.AccessEntry(
            token=e.Token(TokenKind.CARD, CARD), limit_fen=50_000, logical_card_no="1234"
        ),
    ),
)

E = TypeVar("E")


class JumpingClock(ManualClock):
    """Its wall time can be set, as somebody or NTP does."""

    def jump(self, seconds: float) -> None:
        self._ms += round(seconds * 1000)
        self._start_ms += round(seconds * 1000)


class FakeChargePoints:
    """The gateway's place: remembers wishes; `online` says who is there."""

    def __init__(self) -> None:
        self.online: set[str] = set()
        self.wishes: list[w.AnyWish] = []
        self.logins: list[w.DecideLogin] = []
        self.confirmed: list[tuple[str, int]] = []
        self.on_wish: Callable[[w.AnyWish], None] = lambda _: None
        self.on_confirm: Callable[[str, int], None] = lambda _no, _token: None

    def send(self, wish: w.AnyWish) -> bool:
        if wish.charge_point_no not in self.online:
            return False
        self.wishes.append(wish)
        self.on_wish(wish)
        return True

    def decide_login(self, wish: w.DecideLogin) -> bool:
        self.logins.append(wish)
        return True

    def confirm(self, charge_point_no: str, token: int) -> bool:
        self.confirmed.append((charge_point_no, token))
        self.on_confirm(charge_point_no, token)
        return charge_point_no in self.online

    def of(self, kind: type[E]) -> list[E]:
        return [wish for wish in self.wishes if isinstance(wish, kind)]

    def take(self, kind: type[E]) -> list[E]:
        found = self.of(kind)
        self.wishes = [wish for wish in self.wishes if not isinstance(wish, kind)]
        return found


class Site:
    """One station, and what HQ has of it. Use `await Site.make(folder)`."""

    def __init__(self, root: Path, timing: Timing, configs: tuple[c.ChargePointConfig, ...]):
        self._root = root
        self._timing = timing
        self._configs = configs
        self._folder_no = 0
        self._link_no = 0
        self._links: dict[str, int] = {}
        self._token_no = 0
        self.clock = JumpingClock(datetime(2026, 11, 22, 2, tzinfo=UTC))
        self.hq_up = False
        self.facts: list[e.AnyEvent] = []
        self.samples: list[Sample] = []
        self.local_tariff: TariffVersion | None = None
        self.profiles: Mapping[str, Profile] = {}
        self._folder().mkdir(parents=True)

    @classmethod
    async def make(
        cls,
        root: Path,
        *,
        timing: Timing = NORMAL,
        tariff: TariffVersion | None = VERSION,
        access: c.PublishAccessList | None = LIST,
        configs: tuple[c.ChargePointConfig, ...] | None = None,
        login: bool = True,
    ) -> Site:
        configs = configs or tuple(
            c.ChargePointConfig(charge_point_no=number, connector_count=2) for number in (CP, CP2)
        )
        site = cls(root / "site", timing, configs)
        site.open()
        if tariff is not None:
            await site.command(c.PublishTariff(tariff=tariff))
        if access is not None:
            await site.command(access)
        if login:
            for config in configs:
                site.log_in(config.charge_point_no)
        await site.settle()
        site.points.wishes.clear()
        return site

    def _folder(self) -> Path:
        return self._root / str(self._folder_no)

    def open(self) -> None:
        """Start the agent on the present folder."""
        self.points = FakeChargePoints()
        self.journal = Journal.open(self._folder() / "station.db", self.clock)
        self.station = Station(
            station_no="S1",
            version="test",
            clock=self.clock,
            zone_name="Asia/Shanghai",
            journal=self.journal,
            add_sample=self.samples.append,
            timing=self._timing,
            rungs=Rungs(),
            caps=Caps(token_fen=30_000, station_fen=100_000),
            local_charge_points=self._configs,
            local_tariff=self.local_tariff,
            hq_reachable=lambda: self.hq_up,
            fetch_frames=lambda file, first, last: f"{file} {first} {last}".encode(),
            profiles=self.profiles,
        )
        self.bus: EventBus[r.AnyReport] = EventBus(self.clock)
        self.station.connect(self.points, self.bus)
        self.journal.on_trouble(self.station.stores.on_journal_trouble)
        self.station.start()

    async def close(self) -> None:
        await self.journal.close()

    async def crash(self, then: Callable[[], object] = lambda: None) -> None:
        """Go on from the files as they are now; what was not durable is gone.

        `then` is called when the files are safe: it may let a disk go on that the test holds.
        """
        before, was = self._folder(), self.journal
        self._folder_no += 1
        shutil.copytree(before, self._folder())
        then()
        await was.close()
        self.open()

    async def restart(self) -> None:
        await self.journal.close()
        self.open()

    async def settle(self) -> None:
        """Wait until all that was asked is durable, and let HQ take it."""
        await self.journal.commit([])
        await self.journal.commit([])
        for lane in LANES:
            while batch := self.journal.head(lane):
                self.facts += unpack_events(batch.body)
                self.journal.acknowledge(lane, [batch.seq])
                await self.journal.commit([])

    def told(self, kind: type[E]) -> list[E]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    # What HQ does

    async def command(
        self, command: c.AnyCommand, command_id: UUID | None = None, expires_s: float | None = 30
    ) -> list[e.CommandSettled]:
        """Send a command; return its outcomes so far."""
        command_id = command_id or uuid4()
        expires = None if expires_s is None else from_ms(self.clock.now_ms() + int(expires_s * 1e3))
        self.station.on_command(
            CommandEnvelope(
                station_no="S1",
                command_id=command_id,
                issued_at=self.clock.now(),
                expires_at=expires,
                command=command,
            )
        )
        await self.settle()
        return [each for each in self.told(e.CommandSettled) if each.command_id == command_id]

    # What charge points do

    def at(self) -> r.Moment:
        return r.Moment(self.clock.now_ms(), self.clock.monotonic_s())

    def log_in(self, number: str = CP) -> int:
        self._link_no += 1
        self.points.online.add(number)
        self._links[number] = self._link_no
        self.bus.publish(
            r.LoggedIn(self.at(), number, self._link_no, "10.0.0.9", 2, True, "1.6", "1.0.3")
        )
        return self._link_no

    def lose(self, number: str = CP, link_id: int | None = None) -> None:
        self.points.online.discard(number)
        link_id = link_id or self._links[number]
        self.bus.publish(r.LinkLost(self.at(), number, link_id, "closed"))

    def sample(self, number: str = CP, connector_no: int = 1, **changes: Any) -> None:
        """Publish a 0x13; idle and unplugged unless said otherwise."""
        values: dict[str, Any] = {
            "transaction_no": "", "state": r.WireState.IDLE, "plugged_in": False,
            "voltage_dv": 0, "current_da": 0, "energy_dwh": 0, "loss_energy_dwh": 0,
            "amount_e4": 0, "soc_percent": 0, "cable_temp_c": None, "battery_temp_max_c": None,
            "charged_min": 0, "remaining_min": 0, "faults": 0, "replayed": False, "dated": True,
        }  # fmt: skip
        values.update(changes)
        values["connector_no"] = connector_no
        self.bus.publish(r.ConnectorSampled(at=self.at(), charge_point_no=number, **values))

    def charging(self, transaction_no: str, energy_dwh: int, **changes: Any) -> None:
        values: dict[str, Any] = {
            "state": r.WireState.CHARGING, "plugged_in": True, "voltage_dv": 7000,
            "current_da": 1000, "transaction_no": transaction_no, "energy_dwh": energy_dwh,
            "amount_e4": energy_dwh,
        }  # fmt: skip
        self.sample(**{**values, **changes})

    def ask(self, token: str = CARD, connector_no: int = 1, **changes: Any) -> int:
        """Publish a 0x31; return its request number."""
        self._token_no += 1
        values: dict[str, Any] = {
            "token_kind": TokenKind.CARD, "token": token, "password": "", "parallel_no": "",
            "is_main": True, "raw": b"\x31", "charge_point_no": CP,
        }  # fmt: skip
        values.update(changes)
        self.bus.publish(
            r.StartRequested(
                at=self.at(), connector_no=connector_no, request_no=self._token_no, **values
            )
        )
        return self._token_no

    def record(
        self,
        transaction_no: str,
        energy_dwh: int,
        *,
        started: datetime | None = None,
        minutes: int = 30,
        number: str = CP,
        suspect: bool = False,
        no_times: bool = False,
        **changes: Any,
    ) -> int:
        """Publish a 0x3B that ends now unless said otherwise; return its token."""
        self._token_no += 1
        ended_ms = self.clock.now_ms()
        start = started or from_ms(ended_ms - minutes * 60_000)
        end = from_ms(int(start.timestamp() * 1000) + minutes * 60_000)
        zero = e.PeriodTotals(0, 0, 0, 0)
        flat = e.PeriodTotals(100_000, energy_dwh, 0, energy_dwh)
        values: dict[str, Any] = {
            "connector_no": 1, "meter_start_dwh": 5000, "meter_end_dwh": 5000 + energy_dwh,
            "amount_e4": energy_dwh, "start_flag": 2,
        }  # fmt: skip
        values.update(changes)
        record = e.Record(
            transaction_no=transaction_no,
            charge_point_no=number,
            started_at=None if no_times else start,
            ended_at=None if no_times else end,
            periods=(zero, zero, flat, zero),
            energy_dwh=energy_dwh,
            loss_energy_dwh=0,
            **values,
        )
        raw = b"\x3b" + transaction_no.encode()
        self.bus.publish(
            r.RecordReceived(self.at(), number, record, raw, self._token_no, suspect or no_times)
        )
        return self._token_no

    # Whole stories

    async def start(self, connector_no: int = 1, **changes: Any) -> str:
        """Have a listed card start; return the transaction number."""
        request_no = self.ask(connector_no=connector_no, **changes)
        await self.settle()
        (answer,) = [a for a in self.points.of(w.AnswerStart) if a.request_no == request_no]
        assert answer.accepted, answer
        return answer.transaction_no

    async def run(self, energies: tuple[int, ...] = (0, 1000, 2000), **changes: Any) -> str:
        """Start and charge, a sample every 15 s."""
        number = await self.start(**changes)
        for energy_dwh in energies:
            self.clock.advance(15)
            self.charging(number, energy_dwh)
        return number

    async def tick(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        self.station.tick()
        self.station.safety.tick(self.station.now())
        await self.settle()


async def soon() -> None:
    """Let callbacks run."""
    await asyncio.sleep(0)
