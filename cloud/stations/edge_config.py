"""The text of a station's `edge.toml`, so that nobody has to write one."""

from __future__ import annotations

from dataclasses import dataclass

from cloud.settings import BrokerSection
from cloud.stations.models import Station


@dataclass(frozen=True, slots=True)
class PublicBroker:
    """Where stations find the broker; `own_ca` when its certificate is not a public one."""

    host: str
    port: int
    tls: bool
    own_ca: bool = False


def public_broker(section: BrokerSection) -> PublicBroker:
    """Return where stations find the broker that workers reach as `section` says."""
    own_ca = section.tls_ca_file is not None
    if section.public_host:
        return PublicBroker(section.public_host, section.public_port, tls=True, own_ca=own_ca)
    return PublicBroker(section.host, section.port, tls=own_ca, own_ca=own_ca)


def edge_toml(station: Station, *, broker: PublicBroker) -> str:
    """Return a configuration that `vw edge run` takes as it is.

    The secret is not in it: it goes into the file that `secret_file` names, mode 0600; so does
    the certificate of the broker's own authority, if it has one, into `ca_file`.
    """
    ca_file = 'ca_file = "/etc/voltwarden/hq-ca.pem"\n' if broker.own_ca else ""
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
{ca_file}"""
