"""What every connector is doing now: one place that decides which word describes it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from edge.devices.chargers.reports import BmsDemanded, ConnectorSampled, Moment, WireState
from edge.station.effects import Effects
from edge.station.limits import amount_fen, minutes_of
from edge.station.open_transaction import OpenTransaction
from shared.clock import from_ms
from shared.contracts.events import ConnectorStatusChanged
from shared.contracts.live import LiveConnector, LiveUpdate
from shared.contracts.words import ConnectorStatus
from shared.tariff import TariffVersion

Connector = tuple[str, int]


class ConnectorNow(Struct):
    """The latest of one connector. `sample` is None until the charge point reported."""

    connector: Connector
    status: ConnectorStatus = ConnectorStatus.UNKNOWN
    sample: ConnectorSampled | None = None
    transaction: OpenTransaction | None = None
    """What the sample is about."""
    vin: str = ""
    """Of the vehicle that is plugged in, also after its charge; "" when it never said."""
    cell_voltage_max_cv: int | None = None
    """Of its battery, as it last said."""
    online: bool = False
    has_charged: bool = False
    latched: bool = False
    changed: bool = True

    @property
    def transaction_id(self) -> UUID | None:
        """Of what the sample is about."""
        return self.transaction.transaction_id if self.transaction else None


class LiveState:
    """All connectors of the station."""

    def __init__(
        self,
        blocked: Callable[[Connector], bool],
        version_of: Callable[[UUID | None], TariffVersion | None],
    ) -> None:
        """Make an empty one.

        Args:
            blocked: Says whether a connector that appears is latched.
            version_of: Returns the tariff version with an id.
        """
        self._connectors: dict[Connector, ConnectorNow] = {}
        self._blocked = blocked
        self._version_of = version_of

    def expect(self, charge_point_no: str, connector_count: int) -> None:
        """Show connectors before their charge point has said anything."""
        for connector_no in range(1, connector_count + 1):
            self.get((charge_point_no, connector_no))

    def forget(self, charge_point_no: str) -> None:
        """Show a charge point no longer."""
        for connector in [each for each in self._connectors if each[0] == charge_point_no]:
            del self._connectors[connector]

    def knows(self, connector: Connector) -> bool:
        """Whether there is such a connector."""
        return connector in self._connectors

    def get(self, connector: Connector) -> ConnectorNow:
        """Return a connector's latest, made on first use."""
        now = self._connectors.get(connector)
        if now is None:
            now = ConnectorNow(connector, latched=self._blocked(connector))
            now.status = _status(now)
            self._connectors[connector] = now
        return now

    def all(self) -> list[ConnectorNow]:
        """Return all connectors, in order."""
        return [self._connectors[connector] for connector in sorted(self._connectors)]

    def amount_fen(self, now: ConnectorNow) -> int:
        """Return what a connector's transaction has come to.

        Worked out for whoever looks: most samples come and go unseen.
        """
        if now.sample is None or now.transaction is None:
            return 0
        version = self._version_of(now.transaction.tariff_version_id)
        return amount_fen(now.sample, minutes_of(now.transaction, now.sample), version)

    def on_sample(
        self, sample: ConnectorSampled, transaction: OpenTransaction | None
    ) -> Effects | None:
        """Take in a 0x13; None when no word changes."""
        connector = (sample.charge_point_no, sample.connector_no)
        now = self._connectors.get(connector) or self.get(connector)
        before, now.sample = now.sample, sample
        now.transaction, now.changed = transaction, True
        if (
            before is not None
            and before.state is sample.state
            and sample.plugged_in
            and before.plugged_in
            and now.online
        ):
            return None  # nearly always
        now.online = True
        if sample.state is WireState.CHARGING:
            now.has_charged = True
        elif not sample.plugged_in:
            now.has_charged, now.vin, now.cell_voltage_max_cv = False, "", None
        return self._settle(now, sample.at)

    def on_demand(self, report: BmsDemanded) -> None:
        """Take in a 0x23."""
        now = self._connectors.get((report.charge_point_no, report.connector_no))
        if now is not None:
            now.cell_voltage_max_cv = report.cell_voltage_max_cv

    def on_link(self, charge_point_no: str, now: Moment, *, online: bool) -> Effects:
        """A charge point came or went."""
        effects = Effects()
        for connector in self._connectors.values():
            if connector.connector[0] == charge_point_no:
                connector.online = online
                effects.add(self._settle(connector, now) or Effects())
        return effects

    def on_latch(self, connector: Connector, now: Moment, *, latched: bool) -> Effects:
        """A connector was blocked or released."""
        entry = self.get(connector)
        entry.latched = latched
        return self._settle(entry, now) or Effects()

    def _settle(self, now: ConnectorNow, moment: Moment) -> Effects | None:
        status = _status(now)
        if status is now.status:
            return None
        now.status, now.changed = status, True
        effects = Effects()
        effects.events.append(
            ConnectorStatusChanged(
                occurred_at=from_ms(moment.wall_ms),
                charge_point_no=now.connector[0],
                connector_no=now.connector[1],
                status=status,
                plugged_in=bool(now.sample and now.sample.plugged_in),
                faults=now.sample.faults if now.sample else 0,
                transaction_id=now.transaction_id,
            )
        )
        return effects

    def update(self, station_no: str, now: Moment, *, whole: bool) -> LiveUpdate | None:
        """Return what changed since the last call, or everything; None when there is nothing."""
        chosen = [entry for entry in self.all() if whole or entry.changed]
        if not chosen:
            return None
        for entry in chosen:
            entry.changed = False
        connectors = tuple(_live_connector(entry, self.amount_fen(entry), now) for entry in chosen)
        return LiveUpdate(station_no, now.wall_ms, whole, connectors)


def _status(now: ConnectorNow) -> ConnectorStatus:
    if now.latched:
        return ConnectorStatus.ALARM
    if not now.online:
        return ConnectorStatus.OFFLINE
    if now.sample is None:
        return ConnectorStatus.UNKNOWN
    match now.sample.state:
        case WireState.CHARGING:
            return ConnectorStatus.CHARGING
        case WireState.FAULT:
            return ConnectorStatus.FAULT
        case WireState.OFFLINE:
            return ConnectorStatus.OFFLINE
        case WireState.IDLE if now.sample.plugged_in and now.has_charged:
            return ConnectorStatus.FINISHED
        case WireState.IDLE if now.sample.plugged_in:
            return ConnectorStatus.PLUGGED
        case WireState.IDLE:
            return ConnectorStatus.IDLE
        case _:
            return ConnectorStatus.UNKNOWN


def _live_connector(entry: ConnectorNow, amount_fen: int, now: Moment) -> LiveConnector:
    number, connector_no = entry.connector
    sample = entry.sample
    if sample is None:
        return LiveConnector(number, connector_no, entry.status, 0)
    return LiveConnector(
        number,
        connector_no,
        entry.status,
        age_ms=int((now.mono_s - sample.at.mono_s) * 1000),
        transaction_id=entry.transaction_id,
        power_w=sample.voltage_dv * sample.current_da // 100,
        voltage_dv=sample.voltage_dv,
        current_da=sample.current_da,
        energy_dwh=sample.energy_dwh,
        amount_fen=amount_fen,
        soc_percent=sample.soc_percent,
        battery_temp_max_c=sample.battery_temp_max_c,
        cable_temp_c=sample.cable_temp_c,
        remaining_min=sample.remaining_min,
    )
