"""`vw hq serve` where another program has its port."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path


def test_a_port_that_is_taken_is_said_in_one_line(hq_config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = hq_config.read_text().replace("[web]\nport = 0", f"[web]\nport = {port}")
        hq_config.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", "hq", "serve", "--config", str(hq_config)],
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"vw hq: web: cannot listen on 127.0.0.1:{port}: Address already in use; another program "
        "may use the port, or the host is not an address of this machine\n"
    )
