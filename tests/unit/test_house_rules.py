"""Rules of the house that no linter knows. Each failure says file and line."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge", "cloud", "shared", "ops")
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
# 0.01 yuan, 0.1 Wh, 1e-5 yuan, a charge point's 1e-4 yuan, 1e-9 yuan: what money depends on.
EXACT = re.compile(r"(?:_fen|_dwh|_e5|_e4|_nano)$")
GENERATED = "cloud/core/migrations/versions/"


@cache
def tracked() -> tuple[str, ...]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())
    # An archive without git: everything but what set-up and tools leave behind.
    return tuple(
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(
            (part.startswith(".") and part != ".ci") or part == "__pycache__"
            for part in path.relative_to(ROOT).parts
        )
    )


def modules() -> Iterator[tuple[str, str, ast.Module]]:
    for name in tracked():
        if name.endswith(".py") and name.split("/")[0] in PACKAGES:
            text = (ROOT / name).read_text(encoding="utf-8")
            yield name, text, ast.parse(text)


def test_there_is_something_to_check() -> None:
    assert sum(1 for _ in modules()) > 50


def test_modules_are_short() -> None:
    long = [
        f"{name}: {len(text.splitlines())} lines"
        for name, text, _ in modules()
        if len(text.splitlines()) > MODULE_LINES_MAX and not name.startswith(GENERATED)
    ]
    assert long == []


def test_functions_are_short() -> None:
    long = [
        f"{name}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, _, tree in modules()
        if not name.startswith(GENERATED)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_modules_say_their_purpose() -> None:
    silent = [name for name, text, tree in modules() if text and not ast.get_docstring(tree)]
    assert silent == []


def test_money_and_energy_are_whole_numbers() -> None:
    wrong = [
        f"{name}:{line} {variable}: {annotation}"
        for name, _, tree in modules()
        for line, variable, annotation in annotated(tree)
        if EXACT.search(variable) and re.search(r"\b(float|Decimal)\b", annotation)
    ]
    assert wrong == []


def annotated(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield (line, name, annotation) of each argument, field, variable and return value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation:
            yield node.lineno, node.arg, ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name | ast.Attribute):
            target = node.target
            variable = target.id if isinstance(target, ast.Name) else target.attr
            yield node.lineno, variable, ast.unparse(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.lineno, node.name, ast.unparse(node.returns)


# A folder that has to explain itself.
READMES = ("README.md", "edge/README.md", "cloud/README.md", "shared/README.md", "ops/README.md")


def test_readmes_exist_and_their_links_lead_somewhere() -> None:
    missing = [name for name in READMES if not (ROOT / name).is_file()]
    broken = [
        f"{name}: {target}"
        for name in tracked()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / name).read_text(encoding="utf-8"))
        if "://" not in target and not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert missing + broken == []


def test_slices_explain_themselves() -> None:
    slices = {Path(name).parent for name in tracked() if re.match(r"cloud/\w+/service\.py$", name)}
    silent = sorted(str(folder) for folder in slices if not (ROOT / folder / "README.md").is_file())
    assert silent == []


# Assembled, so that this file does not hold them itself.
PLACES = ("/ro" + "ot/", "/ho" + "me/", "/wo" + "rk/", "/op" + "t/wheels", "/op" + "t/pypi")
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "index" + "-url =")
TEXT = frozenset({".py", ".md", ".sh", ".toml", ".txt", ".json", ".html", ".css", ".js", ".in", ""})


def test_no_machine_and_no_registry_is_named() -> None:
    found = [
        f"{name}: {word}"
        for name in tracked()
        if Path(name).suffix in TEXT and "/static/vendor/" not in name
        for word in (*PLACES, *REGISTRIES)
        if word in (ROOT / name).read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []
