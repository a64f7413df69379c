"""What a process loads when it starts."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("role", ["smtpd_ingress", "outbound", "events", "dsn", "api"])
def test_a_role_loads_nothing_it_does_not_use(role: str) -> None:
    # in the order of python -m master run ROLE
    load = f"import sys, master.run_command, {role}.main"
    code = f"{load}; print([name for name in ('aiohttp', 'rich.text') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_both_can_be_had_later() -> None:
    code = "import common, aiohttp, rich.traceback"
    subprocess.run([sys.executable, "-c", code], check=True)
