"""The table of messages in the codec's README is what the classes are."""

from __future__ import annotations

import re
from pathlib import Path

from edge.devices.chargers.ykc import messages


def test_table_of_messages() -> None:
    readme = (Path(messages.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| 0x(\w\w) \| ([↑↓]) \| `(\w+)` (\S+) \| ([\w, ]+)", readme, re.MULTILINE)
    written = {
        int(kind, 16): (arrow == "↑", name, zh, tuple(fields.strip().split(", ")))
        for kind, arrow, name, zh, fields in rows
    }
    assert written == {
        kind: (message.UPLINK, message.__name__, message.NAME_ZH, message.__struct_fields__[:-1])
        for kind, message in messages.MESSAGES.items()
    }
