"""The broker's own process: `python -m ops.embedded.broker CONFIG` serves until stdin closes.

The broker has no call to stop it: its process ends by a signal, or by itself when the one that
started it is gone.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

from iotcore import IotCoreBroker


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serve the configuration file given as the only argument."""
    # The broker logs each packet it routes as an error.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    IotCoreBroker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
