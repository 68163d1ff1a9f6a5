"""Every sentence of the check of documents has a code, and words in both languages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared.protection.checks
import shared.protection.document
from cloud.protection.reasons import _SENTENCES, reason_of
from cloud.protection.rules import InvalidDocumentError
from cloud.protection.service import read
from cloud.web.texts import catalogue

MODULES = (shared.protection.checks, shared.protection.document)


def sentences() -> Iterator[str]:
    """Yield what the check may say, "7" for what it fills in."""
    for module in MODULES:
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            match node:
                case ast.Call(func=ast.Name("ProtectionError"), args=[_, said]):
                    pass
                case ast.Assign(targets=[ast.Name("why")], value=said):
                    pass
                case _:
                    continue
            if isinstance(said, ast.Constant):
                yield str(said.value)
            elif isinstance(said, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "7"
                    for part in said.values
                )


def test_every_sentence_of_the_check_has_a_code() -> None:
    found = list(sentences())
    assert len(found) > 25
    assert [each for each in found if not reason_of(each).code] == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_code_has_its_words(language: str) -> None:
    texts = catalogue()[language]
    wanted = {f"reason.{code}" for code in _SENTENCES}
    assert {key for key in texts.words if key.startswith("reason.")} == wanted
    for each in sentences():
        assert "{" not in reason_of(each).words(texts)


def test_what_is_refused_says_so_in_chinese_and_by_its_code() -> None:
    with pytest.raises(InvalidDocumentError) as refused:
        read({"devices": 5})
    [error] = refused.value.context["errors"]
    assert (error["pointer"], error["reason"]) == ("/devices", "wrong_kind")
    assert reason_of(error["message"]).words(catalogue()["zh"]) == "须为 array, 现为 int。"


def test_a_sentence_of_a_newer_check_stands_for_itself() -> None:
    assert reason_of("of tomorrow").words(catalogue()["zh"]) == "of tomorrow"
