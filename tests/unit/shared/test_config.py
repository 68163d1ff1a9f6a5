"""What is said of a wrong configuration: file, field, what would be right. No library's jargon."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from shared.config import FileSettings, Section
from shared.errors import ConfigError


class Kind(StrEnum):
    A = "a"
    B = "b"


class Gate(Section):
    port: int = Field(default=1, ge=1, le=65535)
    host: str = Field(default="", description="a name or an address")
    place: Path = Field(default=Path("/"), description="a folder")
    file: Path | None = None
    hosts: tuple[str, ...] = ()
    kind: Kind = Kind.A
    word: str = Field(default="x", min_length=1)

    @field_validator("host")
    @classmethod
    def _no_spaces(cls, value: str) -> str:
        if " " in value:
            raise ValueError("has a space")
        return value


class Point(Section):
    number: str = Field(pattern=r"^[0-9]{14}$", description="14 digits")


class Settings(FileSettings):
    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="VWTEST_", env_nested_delimiter="__"
    )

    needed: Gate
    gate: Gate = Gate()
    point: tuple[Point, ...] = ()


GOOD = "[needed]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needed: is missing; write a table [needed]"),
        ("needed = 3", "needed: must be a table: write [needed]"),
        (GOOD + "[point]\nnumber = '1'", "point: must be a list of tables: write [[point]]"),
        (GOOD + "[[point]]", "point.0.number: is missing (14 digits)"),
        (GOOD + "[[point]]\nnumber = 'x'", "point.0.number: 'x' does not fit (14 digits)"),
        (GOOD + "[gate]\nprot = 1", "gate.prot: no such setting; did you mean port?"),
        (
            GOOD + "[gate]\nzzz = 1",
            "gate.zzz: no such setting; there are port, host, place, file, hosts, kind, word",
        ),
        (GOOD + "[gates]\nport = 1", "gates: no such setting; did you mean gate?"),
        (GOOD + "[gate]\nport = 'x'", "gate.port: 'x' must be a whole number"),
        (GOOD + "[gate]\nport = 0", "gate.port: 0 must be 1 or more"),
        (GOOD + "[gate]\nport = 65536", "gate.port: 65536 must be 65535 or less"),
        (GOOD + "[gate]\nhost = 5", "gate.host: 5 must be text, in quotes (a name or an address)"),
        (GOOD + "[gate]\nplace = 5", "gate.place: 5 must be a path, in quotes (a folder)"),
        (GOOD + "[gate]\nplace = ''", "gate.place: is empty; give a path (a folder)"),
        (GOOD + "[gate]\nfile = ''", "gate.file: is empty; give a path"),
        (GOOD + "[gate]\nhosts = 'a'", "gate.hosts: 'a' must be a list, in square brackets"),
        (GOOD + "[gate]\nkind = 'c'", "gate.kind: 'c' must be 'a' or 'b'"),
        (GOOD + "[gate]\nword = ''", "gate.word: is empty"),
        (GOOD + "[gate]\nhost = 'a b'", "gate.host: has a space (a name or an address)"),
    ],
)
def test_a_wrong_field_is_told_in_plain_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        Settings.load(path)
    assert str(refused.value) == f"{path}: {said}"


def test_what_the_environment_says_wrong_is_told_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.toml"
    path.write_text(GOOD)
    monkeypatch.setenv("VWTEST_GATE__PORT", "x")
    with pytest.raises(ConfigError) as refused:
        Settings.load(path)
    assert str(refused.value) == (
        f"{path}: gate.port: 'x' must be a whole number (from VWTEST_GATE__PORT)"
    )
    monkeypatch.delenv("VWTEST_GATE__PORT")
    monkeypatch.setenv("VWTEST_GATES__PORT", "1")
    with pytest.raises(ConfigError) as refused:
        Settings.load(path)
    assert str(refused.value) == "VWTEST_GATES__PORT: no such setting; did you mean gate?"


def test_a_variable_for_a_whole_table_is_refused_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.toml"
    path.write_text(GOOD)
    monkeypatch.setenv("VWTEST_GATE", "amqp://u:hush@h")
    with pytest.raises(ConfigError) as refused:
        Settings.load(path)
    assert str(refused.value) == (
        "VWTEST_GATE: is a table, to be given as JSON; or set its fields, each as VWTEST_GATE__NAME"
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_text(GOOD + "[gate]\nport = 0\nprot = 1\n[[point]]\n")
    with pytest.raises(ConfigError) as refused:
        Settings.load(path)
    assert len(str(refused.value).splitlines()) == 3
