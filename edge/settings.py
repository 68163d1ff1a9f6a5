"""The agent's configuration: one TOML file, checked whole before anything starts.

Order: file < environment (`VW_STATION__NUMBER=…`, double underscore for nesting). Secrets are
given as paths of files. What HQ changes at run time (tariffs, lists, charge points) is data,
not configuration.
"""

from __future__ import annotations

import ssl
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from edge.devices.sensors.lines import BAUDS, LineConfig, Transport
from shared.config import FileSettings, Section
from shared.errors import ConfigError

_NUMBER = r"^[A-Za-z0-9_-]{1,32}$"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StationSection(Section):
    """Who and where this station is."""

    number: str = Field(
        pattern=_NUMBER, description="as HQ gave it: up to 32 letters, digits, - and _"
    )
    zone: str = Field(default="Asia/Shanghai", description="IANA time zone of the site")
    data_dir: Path = Field(default=Path("/var/lib/voltwarden"), description="all durable files")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("not an IANA time zone, for example Asia/Shanghai") from error
        return value

    @property
    def zone_info(self) -> ZoneInfo:
        """The time zone itself."""
        return ZoneInfo(self.zone)


class GatewaySection(Section):
    """Where charge points connect."""

    host: str = Field(
        default="0.0.0.0",  # noqa: S104 - charge points come from the station's own network
        min_length=1,
        description="an address of this machine, 0.0.0.0 for all of them",
    )
    port: int = Field(default=8768, ge=0, le=65535)
    connections_max: int = Field(default=1000, ge=1)


class HqSection(Section):
    """The link to HQ's broker."""

    host: str = Field(
        min_length=1, pattern=r"^[^\s/@]+$", description="name or address of HQ's broker"
    )
    port: int = Field(default=8883, ge=1, le=65535)
    secret_file: Path = Field(description="holds the secret that HQ showed once")
    user: str = Field(default="", description="MQTT user; the station's number when empty")
    tls: bool = True
    ca_file: Path | None = None
    backoff_max_s: float = Field(default=60.0, gt=0)

    @field_validator("tls")
    @classmethod
    def _secret_never_in_the_clear(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("host") not in _LOOPBACK:
            raise ValueError("false is for 127.0.0.1 only; over a network HQ's broker speaks TLS")
        return value

    @field_validator("ca_file")
    @classmethod
    def _usable_ca(cls, value: Path | None) -> Path | None:
        if value is not None:
            _trust(value)
        return value

    def read_secret(self) -> str:
        """Return the station's secret. Raises ConfigError."""
        try:
            return self.secret_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"hq.secret_file: {self.secret_file} cannot be read: {error.strerror}; "
                "it holds the secret that HQ showed once"
            ) from error

    def tls_context(self) -> ssl.SSLContext | None:
        """Whom to trust as HQ's broker: `ca_file` alone, else the system's list; None: no TLS."""
        return _trust(self.ca_file) if self.tls else None


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    wanted = "it holds the certificate that signs HQ's broker, as PEM"
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"{ca_file} has no certificate; {wanted}") from error
    except OSError as error:
        raise ValueError(f"{ca_file} cannot be read: {error.strerror}; {wanted}") from error


class ChargePointSection(Section):
    """A charge point that was added at the station."""

    number: str = Field(pattern=r"^[0-9]{14}$", description="14 digits, as set in the device")
    connectors: int = Field(default=2, ge=1, le=99)
    dialect: Literal["ykc16", "ykc15", "ylc"] = "ykc16"
    silence_limit_s: float = Field(default=30.0, ge=6.0)
    rated_kw: float = Field(default=120.0, gt=0)
    rounds_to_fen: bool = False


class TariffSection(Section):
    """A tariff for a station without HQ."""

    file: Path


class ProtectionSection(Section):
    """A protection document for a station without HQ; HQ's goes before it."""

    file: Path


class SensorsSection(Section):
    """Models of Modbus devices beside those that ship."""

    profile_dir: Path | None = Field(default=None, description="a folder of MODEL.toml files")

    @field_validator("profile_dir")
    @classmethod
    def _is_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"{value} is no folder; it holds one MODEL.toml for each model")
        return value


class LineSection(Section):
    """A Modbus line with sensors and outputs; devices name it in the protection document."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,24}$", description="up to 24 letters, digits, - and _"
    )
    transport: Transport
    host: str = ""
    port: int = Field(default=502, ge=1, le=65535)
    device: str = Field(default="", description="a serial port, for example /dev/ttyS1")
    baud: int = Field(default=9600, description="of the wire, also behind a serial server")
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    period_ms: int = Field(default=100, ge=20, le=10_000, description="of safety points")

    @field_validator("baud")
    @classmethod
    def _known_baud(cls, value: int) -> int:
        if value not in BAUDS:
            raise ValueError(f"use one of {', '.join(map(str, BAUDS))}")
        return value

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.transport is Transport.SERIAL and not self.device:
            raise ValueError("a serial line needs `device`, for example /dev/ttyS1")
        if self.transport is not Transport.SERIAL and not self.host:
            raise ValueError("a line over TCP needs `host`")
        return self

    def config(self) -> LineConfig:
        """Return what the line's own code works with."""
        return LineConfig(**self.model_dump())


class OfflineSection(Section):
    """How much may be charged on trust while HQ is out of reach, in yuan."""

    token_cap_yuan: int = Field(default=300, ge=0)
    station_cap_yuan: int = Field(default=20_000, ge=0)


class FrameLogSection(Section):
    """How long raw frames are kept."""

    retention_days: int = Field(default=400, ge=1)
    size_max_gb: float = Field(default=20.0, gt=0)


class TelemetrySection(Section):
    """How samples are gathered for HQ."""

    window_s: float = Field(
        default=57.0,
        gt=0,
        le=75,
        description="below the keep-alive of 60 s no ping is sent; HQ takes a station for lost that"
        " has said nothing for 150 s",
    )
    size_max_mb: int = Field(default=2048, ge=1)


class TimingSection(Section):
    """Timers; `fast` is for the demo and for tests."""

    profile: Literal["normal", "fast"] = "normal"


class SoundSection(Section):
    """The loudspeaker of the station's computer."""

    player: tuple[str, ...] = Field(
        default=("aplay", "-q"),
        min_length=1,
        description="program and options that play the WAV file whose path is added",
    )


class LogSection(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(FileSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="VW_", env_nested_delimiter="__"
    )
    others_prefixes = ("VW_HQ_",)

    station: StationSection
    gateway: GatewaySection = GatewaySection()
    hq: HqSection | None = None
    charge_point: Annotated[tuple[ChargePointSection, ...], Field()] = ()
    tariff: TariffSection | None = None
    protection: ProtectionSection | None = None
    line: tuple[LineSection, ...] = ()
    sensors: SensorsSection = SensorsSection()
    offline: OfflineSection = OfflineSection()
    frame_log: FrameLogSection = FrameLogSection()
    telemetry: TelemetrySection = TelemetrySection()
    timing: TimingSection = TimingSection()
    sound: SoundSection = SoundSection()
    log: LogSection = LogSection()

    @field_validator("charge_point")
    @classmethod
    def _each_number_once(
        cls, sections: tuple[ChargePointSection, ...]
    ) -> tuple[ChargePointSection, ...]:
        counts = Counter(section.number for section in sections)
        if twice := [number for number, count in counts.items() if count > 1]:
            raise ValueError(f"{', '.join(twice)}: more than one section with this number")
        return sections

    @field_validator("line")
    @classmethod
    def _each_line_once(cls, sections: tuple[LineSection, ...]) -> tuple[LineSection, ...]:
        for what in ("name", "device"):
            counts = Counter(getattr(section, what) for section in sections)
            if twice := [value for value, count in counts.items() if value and count > 1]:
                raise ValueError(f"{', '.join(twice)}: more than one line with this {what}")
        return sections

    def lines(self) -> tuple[LineConfig, ...]:
        """Return the Modbus lines."""
        return tuple(section.config() for section in self.line)


def load(path: Path) -> Settings:
    """Read and check a configuration file. Raises ConfigError, which names each wrong field."""
    return Settings.load(path)
