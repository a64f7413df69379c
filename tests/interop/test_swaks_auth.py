"""swaks logs in: as a user that postjet made, until it is removed or has sent its share."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scenario_support import environment, mx, story
from users_support import PASSWORD

from master.demo.world import World

pytestmark = pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed; apt-get install swaks")

SETTINGS = {"listener": {"networks": [], "auth_without_tls": True}}
#: Of swaks, as its manual names them.
SENT, MAIL_REFUSED, RCPT_REFUSED, DATA_REFUSED, LOGIN_REFUSED = 0, 23, 24, 26, 28


async def test_who_has_logged_in_may_send(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1, settings=SETTINGS) as world, mx(world, "127.0.1.1", "receiver.test") as sink:
        _user(world, "add", "tim", "--password-stdin", "--sender", "@sender.test", "--quota", "3")

        assert (await _swaks(world))[0] == RCPT_REFUSED
        plain = ("--auth", "PLAIN", "--auth-user", "tim", "--auth-password", PASSWORD)
        async with asyncio.timeout(20):  # every process looks twice a second
            while (sent := await _swaks(world, *plain))[0] == LOGIN_REFUSED:
                pass
        code, said = sent
        assert code == SENT, said
        [row, *_] = await story(world, said.partition("queued as ")[2].split()[0], "delivered")
        assert row["sender"] == "news@sender.test"
        assert b" with ESMTPA id " in sink.received[0].content

        login = ("--auth", "LOGIN", "--auth-user", "tim", "--auth-password")
        assert (await _swaks(world, *login, "wrong"))[0] == LOGIN_REFUSED
        code, said = await _swaks(world, *login, PASSWORD, "--from", "a@other.test")
        assert (code, "553 5.7.1 " in said) == (MAIL_REFUSED, True), said
        two = ("--to", "b@receiver.test,c@receiver.test")
        assert (await _swaks(world, *login, PASSWORD, *two))[0] == SENT
        code, said = await _swaks(world, *login, PASSWORD, *two)
        assert (code, "452 4.7.1 Too many recipients: 3/d " in said) == (DATA_REFUSED, True), said

        _user(world, "remove", "tim")
        async with asyncio.timeout(20):
            while (await _swaks(world, *login, PASSWORD))[0] != LOGIN_REFUSED:
                pass
        await sink.wait_for(3)
        assert PASSWORD not in world.log_file.read_text()


def _user(world: World, *arguments: str) -> None:
    command = [sys.executable, "-m", "master", "--config", str(world.config_file), "user", *arguments]
    subprocess.run(command, input=PASSWORD + "\n", text=True, check=True, timeout=60, env=environment())


async def _swaks(world: World, *arguments: str) -> tuple[int, str]:
    """Exit code and what it printed."""
    given = ["--server", "127.0.0.1", "--port", str(world.smtp_port), "--from", "news@sender.test"]
    given += ["--to", "b@receiver.test", "--timeout", "20", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, ["swaks", *given], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout
