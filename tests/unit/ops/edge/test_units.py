"""The services of a station: they come back for ever, reach what they need and nothing more."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[4] / "ops" / "edge"
NAMES = ("voltwarden", "voltwarden-kiosk")
# What foot 1.13 does by itself when somebody presses the right keys.
FOOT_DOES = {
    "clipboard-copy", "clipboard-paste", "font-decrease", "font-increase", "font-reset",
    "primary-paste", "prompt-next", "prompt-prev", "scrollback-down-page", "scrollback-up-page",
    "search-start", "show-urls-launch", "spawn-terminal",
}  # fmt: skip


def unit(name: str) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    parsed.read(FOLDER / f"{name}.service", encoding="utf-8")
    return parsed


def command(name: str) -> list[str]:
    return shlex.split(unit(name)["Service"]["ExecStart"].replace("\\\n", " "))


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_back_at_once_and_for_ever(name: str) -> None:
    parsed = unit(name)
    assert parsed["Service"]["Restart"] == "always"
    assert float(parsed["Service"]["RestartSec"]) <= 1
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("name", NAMES)
def test_systemd_takes_it(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here")
    text = (FOLDER / f"{name}.service").read_text(encoding="utf-8")
    for program in ("/srv/voltwarden/.venv/bin/vw", "/usr/bin/cage"):
        text = text.replace(program, "/bin/true")
    copy = tmp_path / f"{name}.service"
    copy.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if copy.name in line]
    assert (done.returncode, ours) == (0, [])


def test_the_screen_has_a_folder_that_it_may_write_to() -> None:
    """The session's own, below /run/user, is hidden by ProtectHome= and read-only besides."""
    service = unit("voltwarden-kiosk")["Service"]
    assert service["ProtectHome"] == "yes"
    folder = service["RuntimeDirectory"]
    assert command("voltwarden-kiosk")[:2] == ["/usr/bin/env", f"XDG_RUNTIME_DIR=%t/{folder}"]


def test_the_letters_are_as_large_on_every_panel() -> None:
    """In points foot asks the panel how large it is, and 55 inches would get tiny letters."""
    (fonts,) = [word for word in command("voltwarden-kiosk") if word.startswith("--font=")]
    sizes = {font.partition(":")[2] for font in fonts.partition("=")[2].split(",")}
    assert sizes == {"pixelsize=30"}
    assert "dpi-aware=no" in (FOLDER / "voltwarden-kiosk.ini").read_text(encoding="utf-8")


def test_no_key_leads_away_from_the_screen() -> None:
    lines = (FOLDER / "voltwarden-kiosk.ini").read_text(encoding="utf-8").splitlines()
    (config,) = [word for word in command("voltwarden-kiosk") if word.startswith("--config=")]
    assert config.endswith("/ops/edge/voltwarden-kiosk.ini")
    bound = lines[lines.index("[key-bindings]") + 1 :]
    assert set(bound) == {f"{name}=none" for name in FOOT_DOES}


def test_the_agent_keeps_its_files_from_the_screen() -> None:
    """Both share a group: for the socket, which says itself who may open it."""
    assert unit("voltwarden")["Service"]["UMask"] == "0077"
    assert unit("voltwarden")["Service"]["StateDirectoryMode"] == "0750"
    assert unit("voltwarden-kiosk")["Service"]["SupplementaryGroups"] == "voltwarden"


def test_what_must_be_installed_is_named() -> None:
    text = (FOLDER / "voltwarden-kiosk.service").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if "apt-get install" in line]
    assert set(line.split()[3:]) >= {
        "cage", "xwayland", "foot", "fonts-dejavu-core", "fonts-noto-cjk", "libpam-systemd",
    }  # fmt: skip
