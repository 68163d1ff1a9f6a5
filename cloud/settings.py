"""HQ's configuration: one TOML file, checked whole before anything starts.

Order: environment (`VW_HQ_DATABASE__URL=…`, double underscore for nesting) before file. What
changes at run time (tariffs, lists, people) is data, not configuration.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import (
    Field,
    IPvAnyNetwork,
    field_validator,
)
from pydantic_settings import SettingsConfigDict

from shared.config import FileSettings, Section
from shared.errors import ConfigError

_HOST = r"^[^\s/@]+$"
_HOST_OR_NONE = r"^[^\s/@]*$"
_HOST_WANTED = "a name or an address, without user, password and ://"
_UNREADABLE = "cannot be read; in user and password write / ? # @ : as %2F %3F %23 %40 %3A"


class DatabaseSection(Section):
    """PostgreSQL."""

    url: str = Field(
        pattern=r"^postgresql\+asyncpg://",
        description="postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE",
        repr=False,
    )
    pool_size: int = Field(default=10, ge=1, le=200)

    @field_validator("url")
    @classmethod
    def _readable(cls, value: str) -> str:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            make_url(value)
            urlsplit(value).port  # noqa: B018 - raises; the driver itself reads it so
        except (ArgumentError, ValueError):
            raise ValueError(_UNREADABLE) from None
        return value

    @property
    def raw_url(self) -> str:
        """The same for the driver itself."""
        return self.url.replace("postgresql+asyncpg://", "postgresql://", 1)


class RedisSection(Section):
    """Redis or Valkey: a cache of the present, nothing that must survive."""

    url: str = Field(
        pattern=r"^(redis|rediss|unix)://", description="redis://HOST:6379/0", repr=False
    )

    @field_validator("url")
    @classmethod
    def _readable(cls, value: str) -> str:
        from redis.asyncio.connection import parse_url

        try:
            parse_url(value)
        except ValueError:
            raise ValueError(_UNREADABLE) from None
        return value


class BrokerSection(Section):
    """The MQTT broker, as the workers' user."""

    host: str = Field(default="127.0.0.1", pattern=_HOST, description=_HOST_WANTED)
    port: int = Field(default=1883, ge=1, le=65535)
    username: str | None = None
    password_file: Path | None = Field(default=None, description="holds nothing but the password")
    tls_ca_file: Path | None = Field(default=None, description="CA of the broker; none: no TLS")
    public_host: str = Field(
        default="",
        pattern=_HOST_OR_NONE,
        description="the broker's name for stations, which reach it with TLS",
    )
    public_port: int = Field(default=8883, ge=1, le=65535, description="goes with public_host")

    @field_validator("tls_ca_file")
    @classmethod
    def _usable_ca(cls, value: Path | None) -> Path | None:
        if value is not None:
            _check_ca(value)
        return value

    def read_password(self) -> str | None:
        """Return the password. Raises ConfigError."""
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"broker.password_file: {self.password_file} cannot be read: {error.strerror}"
            ) from error


def _check_ca(ca_file: Path) -> None:
    try:
        ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"{ca_file} has no certificate") from error
    except OSError as error:
        raise ValueError(f"{ca_file} cannot be read: {error.strerror}") from error


class WebSection(Section):
    """Where the API listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    token_hours: float = Field(default=12.0, gt=0, le=24 * 30)
    token_secret_file: Path | None = Field(
        default=None, description="32 random bytes or more; none: made once, kept in the database"
    )
    logins_per_minute: int = Field(default=10, ge=1, description="wrong ones, a name and address")


class WorkerSection(Section):
    """The ingest worker."""

    name: str = Field(default="", description="MQTT client id; empty: made from host and process")
    presence_s: int = Field(default=150, ge=2, description="silence after which one is off-line")
    sweep_s: float = Field(default=15.0, gt=0)
    broker_down_s: float = Field(
        default=15.0, ge=0.5, description="without a broker for longer is an alarm"
    )
    telemetry_linger_ms: int = Field(default=20, ge=0, le=5_000)
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0: none")


class SmtpSection(Section):
    """The mail server for notices; without a host there are no e-mails."""

    host: str = Field(default="", pattern=_HOST_OR_NONE, description=_HOST_WANTED)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    password_file: Path | None = Field(default=None, description="holds nothing but the password")
    sender: str = Field(default="voltwarden@localhost", pattern=r"^[^@\s]+@[^@\s]+$")

    def read_password(self) -> str:
        """Return the password, "" for none. Raises ConfigError."""
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"smtp.password_file: {self.password_file} cannot be read: {error.strerror}"
            ) from error


class NotifySection(Section):
    """Where notices may go."""

    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="networks that webhooks may reach beside public addresses"
    )
    ca_file: Path | None = Field(
        default=None, description="CA of receivers and mail server, beside the public ones"
    )

    @field_validator("ca_file")
    @classmethod
    def _usable_ca(cls, value: Path | None) -> Path | None:
        if value is not None:
            _check_ca(value)
        return value


class LogSection(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(FileSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="VW_HQ_", env_nested_delimiter="__"
    )

    database: DatabaseSection
    redis: RedisSection
    broker: BrokerSection = BrokerSection()
    web: WebSection = WebSection()
    worker: WorkerSection = WorkerSection()
    smtp: SmtpSection = SmtpSection()
    notify: NotifySection = NotifySection()
    log: LogSection = LogSection()

    @property
    def time_scale(self) -> float:
        """How much faster than real the wall clock runs; above 1 in a demo only."""
        return self.clock.scale if self.clock else 1.0


def load(path: Path) -> Settings:
    """Read and check a configuration file. Raises ConfigError, which names each wrong field."""
    return Settings.load(path)
