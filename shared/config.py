"""One TOML file a program, checked whole before it starts; the environment wins over the file.

Both tiers build their settings on this. A wrong field is named with its file, its place and what
would be right. It needs pydantic-settings, which both tiers install.
"""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from shared.clock import Clock, ScaledClock, SystemClock
from shared.errors import ConfigError
from shared.urls import hide_password

_ENVIRONMENTS_WITH_SCALED_CLOCK = ("demo", "test")


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_empty_path(cls, value: Any, info: ValidationInfo) -> Any:
        # It would be the folder that a program happens to be started in.
        kind = cls.model_fields[info.field_name or ""].annotation
        if value == "" and Path in (kind, *get_args(kind)):
            raise ValueError("is empty; give a path")
        return value


class ClockSection(Section):
    """A scaled clock, shared by all processes of a demo."""

    real_start_ms: int
    start_ms: int
    scale: float = Field(gt=0)


class FileSettings(BaseSettings):
    """The whole tree of a program. Sub-classes set `model_config` with their `env_prefix`.

    `others_prefixes` begin the variables of other programs, where they begin like our own.
    """

    # A password in an address is not for a traceback.
    model_config = SettingsConfigDict(hide_input_in_errors=True)

    others_prefixes: ClassVar[tuple[str, ...]] = ()
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
            raise ConfigError(
                "clock: a scaled clock is for demo and tests only; remove [clock], "
                "or for a demo's file set VW_ENV=demo"
            )
        return ScaledClock(self.clock.real_start_ms, self.clock.start_ms, self.clock.scale)

    @classmethod
    def variable(cls, place: tuple[int | str, ...]) -> str:
        """Return the environment variable that sets a field."""
        return str(cls.model_config["env_prefix"]) + "__".join(map(str, place)).upper()

    @classmethod
    def _check_variables(cls) -> None:
        """Refuse a variable that looks like a setting and is none: it would do nothing.

        Raises:
            ConfigError: Names it.
        """
        prefix = str(cls.model_config["env_prefix"])
        for variable in os.environ:
            name, nested, _ = variable.removeprefix(prefix).partition("__")
            if not (variable.startswith(prefix) and nested):
                continue
            if variable.startswith(cls.others_prefixes) or name.lower() in cls.model_fields:
                continue
            raise ConfigError(f"{variable}: no such setting; {_known(name.lower(), cls)}")

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
        cls._check_variables()
        try:
            settings = cls(**values)
        except SettingsError as error:
            raise ConfigError(_no_table(cls)) from error
        except ValidationError as error:
            raise ConfigError(_explain(cls, path, error)) from error
        settings.make_clock()
        return settings


def _no_table(settings: type[FileSettings]) -> str:
    """Say which variables stand for whole tables; the library keeps to itself which was wrong."""
    given = {variable.upper() for variable in os.environ}
    wrong = [
        f"{variable}: is a table, to be given as JSON; or set its fields, each as {variable}__NAME"
        for variable in (settings.variable((name,)) for name in settings.model_fields)
        if variable in given
    ]
    return "\n".join(wrong)


def _explain(settings: type[FileSettings], path: Path, error: ValidationError) -> str:
    return "\n".join(
        f"{path}: {'.'.join(map(str, detail['loc']))}: {_said(settings, detail)}"
        for detail in error.errors(include_url=False)
    )


def _said(settings: type[FileSettings], detail: ErrorDetails) -> str:
    model, field, is_list = _find(settings, detail["loc"])
    name = str(detail["loc"][-1])
    match detail["type"]:
        case "extra_forbidden":
            return f"no such setting; {_known(name, model)}"
        case "missing" if field is not None and _below(field) is not None:
            return f"is missing; write a table [{name}]"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a table: write [{name}]"
        case "tuple_type" if is_list:
            return f"must be a list of tables: write [[{name}]]"
    wanted = f" ({field.description})" if field is not None and field.description else ""
    variable = settings.variable(detail["loc"])
    source = f" (from {variable})" if variable in os.environ else ""
    return f"{_wrong(detail)}{wanted}{source}"


def _wrong(detail: ErrorDetails) -> str:
    """Return what is wrong with a value in words; the library's own where it has good ones."""
    value, limits = _shown(detail["input"]), detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is missing"
        case "value_error":
            return str(limits["error"])
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{value} must be a whole number"
        case "float_type" | "float_parsing":
            return f"{value} must be a number"
        case "bool_type" | "bool_parsing":
            return f"{value} must be true or false"
        case "string_type":
            return f"{value} must be text, in quotes"
        case "path_type":
            return f"{value} must be a path, in quotes"
        case "tuple_type":
            return f"{value} must be a list, in square brackets"
        case "string_too_short":
            return "is empty"
        case "string_pattern_mismatch":
            return f"{value} does not fit"
        case "greater_than_equal":
            return f"{value} must be {limits['ge']} or more"
        case "less_than_equal":
            return f"{value} must be {limits['le']} or less"
        case "greater_than":
            return f"{value} must be more than {limits['gt']}"
        case "literal_error" | "enum":
            return f"{value} must be {limits['expected']}"
    return detail["msg"]


def _shown(value: object) -> str:
    return repr(hide_password(value)) if isinstance(value, str) else hide_password(repr(value))


def _known(name: str, model: type[BaseModel]) -> str:
    if close := get_close_matches(name, model.model_fields, n=1):
        return f"did you mean {close[0]}?"
    return f"there are {', '.join(model.model_fields)}"


def _find(
    model: type[BaseModel], place: tuple[int | str, ...]
) -> tuple[type[BaseModel], FieldInfo | None, bool]:
    """Return the table in which a place is, its field, and whether that is a list of tables."""
    field = None
    for name in (part for part in place if isinstance(part, str)):
        if field is not None:
            model = _below(field) or BaseModel
        field = model.model_fields.get(name)
        if field is None:
            return model, None, False
    is_list = field is not None and get_origin(field.annotation) is tuple
    return model, field, is_list and field is not None and _below(field) is not None


def _below(field: FieldInfo) -> type[BaseModel] | None:
    """Return the table that a field holds, one or several of them; None for a plain value."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
