"""The `edge.toml` that HQ hands out is one that a station takes as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from cloud.settings import BrokerSection, load
from cloud.stations.edge_config import edge_toml, public_broker
from cloud.stations.models import Station
from shared.errors import ConfigError

STATION = Station(
    id=UUID(int=1),
    operator_id=UUID(int=2),
    station_no="S-1",
    name_zh="站",
    name_en="Station",
    time_zone="Asia/Shanghai",
    secret_hash="",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, ['host = "127.0.0.1"', "port = 1883", "tls = false"]),
        ({"public_host": "mq.example"}, ['host = "mq.example"', "port = 8883", "tls = true"]),
        ({"public_host": "mq.example", "public_port": 443}, ["port = 443", "tls = true"]),
        (
            {"public_host": "mq.example", "tls_ca_file": Path("/ca.pem")},
            ["tls = true", 'ca_file = "/etc/voltwarden/hq-ca.pem"'],
        ),
    ],
)
def test_stations_find_the_broker_where_it_is_public(
    fields: dict[str, object], lines: list[str]
) -> None:
    section = BrokerSection.model_construct(**{**BrokerSection().model_dump(), **fields})
    text = edge_toml(STATION, broker=public_broker(section))
    assert [line for line in lines if line not in text.splitlines()] == []
    assert ("ca_file" in text) == ("tls_ca_file" in fields)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    config = tmp_path / "cloud.toml"
    config.write_text(
        '[database]\nurl = "postgresql+asyncpg://a@b/c"\n[redis]\nurl = "redis://a"\n'
        f'[broker]\ntls_ca_file = "{ca_file}"\n'
    )
    with pytest.raises(ConfigError, match=r"broker\.tls_ca_file"):
        load(config)
