"""Without any configuration it takes mail on loopback and keeps everything in ./var."""

import asyncio
import subprocess
import sys
from pathlib import Path

from scenario_support import SENDER, environment, ids, postjet
from support import until

from master.demo.generator import make_message, send_all
from master.sockets import free_port


async def test_no_configuration(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "master", "up"],
        cwd=tmp_path,
        # no fixed ports in tests
        env=environment(POSTJET_LISTENERS=f'[{{bind = "127.0.0.1:{port}"}}]', POSTJET_API__BIND="127.0.0.1:0"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        await until(lambda: _listens(port))
        # a literal, so that nobody is asked; at an address that is prohibited unless said
        [submission] = ids(await send_all([(SENDER, ["a@[127.0.0.1]"], make_message())], "127.0.0.1", port))

        async def bounced() -> bool:
            return "address prohibited" in (await postjet("trace", submission, cwd=tmp_path)).stdout

        await until(bounced)
        assert [entry.name for entry in tmp_path.iterdir()] == ["var"]
    finally:
        process.terminate()
        _, log = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in log


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
