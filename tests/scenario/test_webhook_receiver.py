"""The receiver of docs/how-to/webhooks.md takes what Postjet sends, and nothing else."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hooks_support import endpoint
from scenario_support import environment, postjet
from support import until

from common.webhook import new_secret
from events.hooks.client import Client
from master.sockets import free_port

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md"
SECRET = new_secret()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A running one, as it is printed."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 10
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-u", "-c", code.replace("8000", str(port))]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(SECRET=SECRET))
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait()


async def test_it_takes_what_is_ours(url: str, tmp_path: Path) -> None:
    config = tmp_path / "postjet.toml"
    config.write_text(
        f'[[webhooks]]\nname = "crm"\nurl = "{url}"\nsecrets = ["{SECRET}"]\nallow_internal = true\n'
    )
    async with Client(endpoint(url, secrets=[SECRET]), []) as client:

        async def answers() -> bool:
            with contextlib.suppress(OSError):
                return (await client.post("1", b"{}")).good
            return False

        await until(answers)
    done = await postjet("webhook", "test", "crm", config=config)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(rf"test_\w+ sent to {url}: HTTP 204 after ", done.stdout)
    assert "webhook.test" in (tmp_path / "log").read_text()
    config.write_text(config.read_text().replace(SECRET, new_secret()))
    done = await postjet("webhook", "test", "crm", config=config)
    assert done.returncode == 75
    assert done.stderr.startswith("postjet: webhook crm: ")
    done = await postjet("webhook", "test", "other", config=config)
    assert (done.returncode, done.stderr) == (
        66, "postjet: there is no webhook 'other' in the configuration; there are: crm\n"
    )  # fmt: skip
