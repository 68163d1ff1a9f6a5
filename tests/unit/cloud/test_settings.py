"""A wrong configuration is refused with the file, the field and what would be right."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from cloud.settings import load
from shared.errors import ConfigError

GOOD = """
[database]
url = "postgresql+asyncpg://hq@db/hq"
[redis]
url = "redis://cache:6379/0"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text(text)
    return path


def test_little_is_enough(tmp_path: Path) -> None:
    settings = load(write(tmp_path, GOOD))
    assert settings.database.raw_url == "postgresql://hq@db/hq"
    assert settings.worker.presence_s == 150


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"database: is missing; write a table \[database\]"),
        (GOOD.replace("postgresql+asyncpg", "mysql"), "database.url.*USER:PASSWORD@HOST"),
        (GOOD + "[web]\nport = 70000\n", "web.port"),
        (GOOD + "[web]\nprot = 1\n", "web.prot"),
        (GOOD + "[broker\n", "not valid TOML"),
        (GOOD + "[clock]\nreal_start_ms = 0\nstart_ms = 0\nscale = 120\n", "demo and tests only"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.delenv("VW_ENV", raising=False)
    with pytest.raises(ConfigError, match=said):
        load(write(tmp_path, text))
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load(tmp_path / "missing.toml")


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VW_HQ_WEB__PORT", "9999")
    assert load(write(tmp_path, GOOD)).web.port == 9999


def test_secrets_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    text = GOOD + f'[broker]\nusername = "hq"\npassword_file = "{path}"\n'
    settings = load(write(tmp_path, text))
    with pytest.raises(ConfigError, match="password_file"):
        settings.broker.read_password()
    path.write_text("hush\n")
    assert settings.broker.read_password() == "hush"


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("postgresql+asyncpg://hq@db", "mysql://hq:secret@db"),
        GOOD.replace("//hq@db", "//hq:se@c:secret@db"),
        GOOD.replace("//hq@db", "//hq:secret/x@db"),
        GOOD.replace("redis://cache", "http://hq:secret@cache"),
        GOOD.replace("redis://cache", "redis://hq:secret/x@cache"),
        GOOD.replace('"redis://cache:6379/0"', '["redis://hq:secret@cache"]'),
        GOOD + '[broker]\nhost = "mqtt://hq:secret@broker"\n',
        GOOD + '[broker]\npublic_host = "mqtts://hq:secret@broker"\n',
        GOOD + '[smtp]\nhost = "hq:secret@mail"\n',
    ],
)
def test_a_password_in_a_wrong_address_is_shown_nowhere(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"\.(url|host|public_host): ") as refused:
        load(write(tmp_path, text))
    # `--debug` shows what it was made from, too.
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_settings_show_no_address_when_printed(tmp_path: Path) -> None:
    assert "hush" not in repr(load(write(tmp_path, GOOD.replace("//hq@", "//hq:hush@"))))
