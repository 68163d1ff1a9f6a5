"""`vw`: quick, lazy, and with the exit codes that scripts rely on."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("fastapi", "sqlalchemy", "textual", "aiomqtt", "rich", "pydantic", "psutil")


def vw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments], capture_output=True, text=True, timeout=30
    )


def test_help_goes_to_stdout_and_names_the_commands() -> None:
    done = vw("--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "rate" in done.stdout
    assert "embedded" in done.stdout


def test_help_imports_no_command() -> None:
    program = (
        "import sys; sys.argv = ['vw', '--help']; from ops.cli import main; main();"
        f"sys.exit(' '.join(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stderr.strip() == ""


def test_unknown_command_is_a_usage_error() -> None:
    done = vw("fly")

    assert done.returncode == 2
    assert "fly" in done.stderr


def test_missing_package_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['psutil'] = None; sys.argv = ['vw', 'embedded', 'status'];"
        "from ops.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 6
    assert "voltwarden[embedded]" in done.stderr
    assert done.stderr.count("\n") == 1
