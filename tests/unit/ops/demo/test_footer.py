"""The lines at the bottom of a terminal."""

from __future__ import annotations

import io

from ops.demo.footer import Footer, fold


def test_long_lines_are_folded_at_spaces_and_chinese_takes_two_columns() -> None:
    assert fold("one two three", 8) == ["one two", "three"]
    assert fold("0123456789", 4) == ["0123", "4567", "89"]
    assert fold("中断中断 ab", 5) == ["中断", "中断", "ab"]
    assert fold("", 5) == [""]
    assert fold("中断", 0) == ["中", "断"]


def test_new_lines_replace_those_before() -> None:
    terminal = io.StringIO()
    footer = Footer(terminal)
    footer.show(["a", "b", "c"])
    terminal.truncate(0)
    footer.show(["d"])
    assert terminal.getvalue().lstrip("\0") == "\r\x1b[2A\x1b[Jd"
    footer.clear()
    assert terminal.getvalue().endswith("\r\x1b[J")
