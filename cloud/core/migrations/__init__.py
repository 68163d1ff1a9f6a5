"""Alembic, configured in code: there is one database and one line of versions."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import MetaData
from sqlmodel import SQLModel

import cloud

if TYPE_CHECKING:
    from alembic.config import Config

_HERE = Path(__file__).parent
_IN_CORE = ("cloud.core.audit", "cloud.core.commands", "cloud.core.idempotency")


def all_tables() -> MetaData:
    """Return the tables of every slice: each `models.py` in or below `cloud/<slice>/`."""
    for module in _IN_CORE:
        import_module(module)
    root = Path(cloud.__path__[0])
    for path in sorted(root.rglob("models.py")):
        import_module(".".join(("cloud", *path.relative_to(root).with_suffix("").parts)))
    return SQLModel.metadata


def config(url: str) -> Config:
    """Return Alembic's configuration for a database `postgresql+asyncpg://…`."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(_HERE))
    made.set_main_option("path_separator", "os")
    made.attributes["url"] = url
    made.attributes["tables"] = all_tables()
    return made


def upgrade(url: str) -> None:
    """Bring a database to the newest version. Blocks; needs no running loop."""
    from alembic import command

    command.upgrade(config(url), "head")


def write_version(url: str, message: str) -> None:
    """Write a version file for what the models have and the database has not."""
    from alembic import command
    from alembic.script import ScriptDirectory

    number = f"{len(list(ScriptDirectory(str(_HERE)).walk_revisions())) + 1:04}"
    command.revision(config(url), message, autogenerate=True, rev_id=number)


def head() -> str:
    """Return the newest version: files are numbered in one line.

    Every command asks for it, and loading Alembic takes longer than most commands do.
    """
    return max(path.name[:4] for path in (_HERE / "versions").glob("[0-9]*_*.py"))
