"""One TOML file a program, checked whole before it starts; the environment wins over the file.

Both tiers build their settings on this. A wrong field is named with its file, its place and what
would be right. It needs pydantic-settings, which both tiers install.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from shared.clock import Clock, ScaledClock, SystemClock
from shared.errors import ConfigError

_ENVIRONMENTS_WITH_SCALED_CLOCK = ("demo", "test")


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClockSection(Section):
    """A scaled clock, shared by all processes of a demo."""

    real_start_ms: int
    start_ms: int
    scale: float = Field(gt=0)


class FileSettings(BaseSettings):
    """The whole tree of a program. Sub-classes set `model_config` with their `env_prefix`."""

    clock: ClockSection | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    def make_clock(self) -> Clock:
        """Return the clock of this process.

        Raises:
            ConfigError: A scaled clock outside demo and tests.
        """
        if self.clock is None:
            return SystemClock()
        if os.environ.get("VW_ENV") not in _ENVIRONMENTS_WITH_SCALED_CLOCK:
            raise ConfigError("clock: a scaled clock is for demo and tests only; remove [clock]")
        return ScaledClock(self.clock.real_start_ms, self.clock.start_ms, self.clock.scale)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a configuration file.

        Raises:
            ConfigError: The file cannot be read or a field is wrong; the message names the file,
                each field and what would be right.
        """
        try:
            values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise ConfigError(_explain(cls, path, error)) from error
        settings.make_clock()
        return settings


def _explain(settings: type[BaseModel], path: Path, error: ValidationError) -> str:
    return "\n".join(
        f"{path}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}"
        f"{_wanted(settings, detail['loc'])}"
        for detail in error.errors(include_url=False)
    )


def _wanted(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """Return what a field's description says that it should be."""
    field = None
    for name in (part for part in place if isinstance(part, str)):
        field = model.model_fields.get(name)
        if field is None:
            return ""
        kinds = [field.annotation, *get_args(field.annotation)]
        below = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        model = below[0] if below else BaseModel
    return f" ({field.description})" if field and field.description else ""
