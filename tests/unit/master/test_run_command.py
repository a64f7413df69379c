"""What a role's process loads: as many of them start as there are processes, and each keeps what it loaded."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("role", ["smtpd_ingress", "outbound", "events", "api"])
def test_a_role_loads_nothing_of_other_roles_and_commands(role: str) -> None:
    ask = f"import sys, master.run_command, {role}.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    others = {"smtpd_ingress", "outbound", "events", "api", "dsn"} - {role}
    assert {name for name in loaded if name.partition(".")[0] in others} == set()
    assert {name for name in loaded if name.startswith("master.")} == {"master.run_command"}


@pytest.mark.parametrize("config", [[], ["--config", "run"]])
def test_no_more_than_that_is_started(config: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "master", *config, "run", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "postjet: 'nothing' is no role" in done.stderr
    assert done.returncode == 64
    assert "master.cli" not in done.stderr
