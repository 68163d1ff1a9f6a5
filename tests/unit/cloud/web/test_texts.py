"""Every word of every page in both languages: none missing, none left over."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from string import Formatter

import pytest

from cloud.alarms.models import Source, Step
from cloud.alarms.notify.models import ChannelKind, NoticeKind, NoticeState
from cloud.alarms.queries import View
from cloud.billing.models import BillKind
from cloud.billing.rules import Basis, Cause
from cloud.core.security import Permission, Role
from cloud.orders.rules import OrderState
from cloud.protection.rules import BoundKind
from cloud.protection.standing import Standing
from cloud.web.pages import THEMES
from cloud.web.texts import catalogue
from shared.contracts.protection import OutputKind
from shared.contracts.words import ConnectorStatus, EndKind, RefusalReason, Severity, StartMeans
from shared.tariff import Period

CLOUD = Path(__file__).resolve().parents[4] / "cloud"
GROUPS: dict[str, type[StrEnum]] = {
    "state": ConnectorStatus,
    "severity": Severity,
    "means": StartMeans,
    "order_state": OrderState,
    "ended_by": EndKind,
    "failure": RefusalReason,
    "period": Period,
    "basis": Basis,
    "cause": Cause,
    "bill_kind": BillKind,
    "role": Role,
    "permission": Permission,
    "view": View,
    "step": Step,
    "source": Source,
    "standing": Standing,
    "standing_text": Standing,
    "output_kind": OutputKind,
    "bound_kind": BoundKind,
    "channel_kind": ChannelKind,
    "notice_kind": NoticeKind,
    "notice_state": NoticeState,
}
# Chosen by a value at run time.
COMPUTED = re.compile(
    r"(error\.(403|404|405|409|412|422|429|503|other)\.(title|text)"
    r"|login\.(unauthorized|too_many|unavailable|forged_form)|ago\.\w+|plot\.\w+|interlock\.\w+"
    r"|pins\.(renew|withdraw)\w*|station_tabs\.\w+|standing_text\.\w+|order\.\w+|order\.column\.\w+"
    r"|reason\.\w+|notice_form\.(name|name_taken|kind|target|language|codes|stations|chain"
    r"|repeat_min|burst_s|invalid_channel|forbidden_address))$"
)


def sources() -> str:
    python = ("formats.py", "things.py")
    files = [*CLOUD.rglob("*.html"), *CLOUD.rglob("*pages.py")]
    files += [CLOUD / "web" / name for name in python]
    assert len(files) > 8
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_both_languages_say_everything() -> None:
    zh, en = catalogue()["zh"].words, catalogue()["en"].words
    assert zh.keys() == en.keys()
    for key in zh:
        assert zh[key].strip()
        assert en[key].strip()
        assert fields(zh[key]) == fields(en[key]), key
    untranslated = [key for key in zh if zh[key] == en[key] and not key.endswith("_dwh")]
    assert set(untranslated) <= {"order.column.energy"}  # kWh


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_templates_ask_for_words_that_are_there() -> None:
    words = catalogue()["en"].words
    asked = set(re.findall(r"""\bt\(\s*["']([\w.]*\w)["'][,) ]""", sources()))
    assert len(asked) > 60
    assert asked - words.keys() == set()


def test_no_word_is_left_over() -> None:
    text = sources()
    groups = set(re.findall(r"""(?:t\.word\(|state\(t, )["'](\w+)["']""", text))
    left = [
        key
        for key in catalogue()["en"].words
        if key.split(".")[0] not in groups
        and not re.search(rf"""["']{re.escape(key)}["']""", text)
        and not COMPUTED.match(key)
    ]
    assert left == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_value_has_a_word(group: str) -> None:
    words = catalogue()["zh"].words
    missing = [str(value) for value in GROUPS[group] if f"{group}.{value}" not in words]
    assert missing == []


def test_every_flag_of_an_order_has_a_word() -> None:
    folders = (CLOUD.parent / "edge" / "station", CLOUD / "billing", CLOUD / "orders")
    code = "".join(path.read_text("utf-8") for folder in folders for path in folder.glob("*.py"))
    given = r"""(?:flag\(|flags\.append\(|flags=\[|_made_number\(record\), )"(\w+)\""""
    flags = set(re.findall(given, code))
    assert len(flags) > 12
    assert [flag for flag in flags if f"flag.{flag}" not in catalogue()["zh"].words] == []


def test_a_value_of_a_newer_program_stands_for_itself() -> None:
    assert catalogue()["zh"].word("state", "reserved") == "reserved"
    assert all(catalogue()["zh"].word("theme", name) != name for name in THEMES)


def test_names_fall_back_to_the_other_language() -> None:
    zh, en = catalogue()["zh"], catalogue()["en"]
    assert (zh.name("站", "Station"), en.name("站", "Station")) == ("站", "Station")
    assert (zh.name("", "Station"), en.name("站", "")) == ("Station", "站")
