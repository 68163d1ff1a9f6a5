"""Draw the big words of the station's screen as bitmaps, once, from a font of this machine.

    python -m ops.kiosk.draw_words

Chromium draws each character into a canvas of the wanted height; a pixel is set where the ink
covers enough of it. One line a character goes to `edge/kiosk/data/words_<height>.txt`: the
character's code point, its width in pixels, its rows as hexadecimal, top first, leftmost pixel
highest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

_CHROMIUM = "/usr/bin/chromium"
_TARGET = Path(__file__).resolve().parents[2] / "edge" / "kiosk" / "data"
_LATIN = "".join(chr(code) for code in range(0x21, 0x7F)) + "°·"
_WORDS = "告警烟雾高温急停水浸火热门开绝缘故障电池保护降级输出未断测试演练停止确认失联离线号桩枪"

_DRAW = """
([characters, height, weight, inked]) => characters.map((character) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = height * 2;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.font = `${weight} ${height}px "Noto Sans CJK SC"`;
  context.textBaseline = "alphabetic";
  const width = Math.min(height, Math.ceil(context.measureText(character).width));
  context.fillText(character, 0, Math.round(height * 0.87));
  const pixels = context.getImageData(0, 0, width, height).data;
  const rows = [];
  for (let y = 0; y < height; y++) {
    let row = "";
    for (let x = 0; x < width; x++) row += pixels[(y * width + x) * 4 + 3] >= inked ? "1" : "0";
    rows.push(row);
  }
  return [character, width, rows];
})
"""


class Cut(NamedTuple):
    """One size: how high, how bold, how much ink sets a pixel, and which characters."""

    height: int
    weight: int
    inked: int
    characters: str


def main() -> None:
    """Draw all cuts and write their files."""
    _TARGET.mkdir(parents=True, exist_ok=True)
    cuts = (Cut(16, 500, 105, _LATIN + _common()), Cut(24, 700, 120, _LATIN + _WORDS))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM)
        page = browser.new_page()
        for cut in cuts:
            lines = _draw(page, cut)
            (_TARGET / f"words_{cut.height}.txt").write_text("\n".join(lines) + "\n", "ascii")
        browser.close()


def _common() -> str:
    """Return the 3755 most used Chinese characters: the first level of GB 2312."""
    rows = range(0xB0, 0xD8)
    codes = (bytes((row, column)) for row in rows for column in range(0xA1, 0xFF))
    return "".join(code.decode("gb2312", "ignore") for code in codes)


def _draw(page: Page, cut: Cut) -> list[str]:
    characters = sorted(set(cut.characters))
    drawn = page.evaluate(_DRAW, [characters, cut.height, cut.weight, cut.inked])
    lines = []
    for character, width, rows in json.loads(json.dumps(drawn)):
        digits = (width + 3) // 4
        bits = "".join(f"{int(row, 2) << (digits * 4 - width):0{digits}x}" for row in rows)
        lines.append(f"{ord(character):04x} {width} {bits}")
    return lines


if __name__ == "__main__":
    main()
