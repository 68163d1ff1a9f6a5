"""The text of a station's `edge.toml`, so that nobody has to write one."""

from __future__ import annotations

from dataclasses import dataclass

from cloud.stations.models import Station


@dataclass(frozen=True, slots=True)
class PublicBroker:
    """Where stations find the broker."""

    host: str
    port: int
    tls: bool


def edge_toml(station: Station, *, broker: PublicBroker) -> str:
    """Return a configuration that `vw edge run` takes as it is.

    The secret is not in it: it goes into the file that `secret_file` names, mode 0600.
    """
    return f"""\
# {station.name_en}
[station]
number = "{station.station_no}"
zone = "{station.time_zone}"

[hq]
host = "{broker.host}"
port = {broker.port}
tls = {str(broker.tls).lower()}
secret_file = "/etc/voltwarden/station.secret"
"""
