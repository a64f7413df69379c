"""The role api answers from the start, whether the broker does or not."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from scenario_support import environment
from support import until

from master.sockets import free_port


async def test_api_without_broker(tmp_path: Path) -> None:
    config, port = tmp_path / "postjet.toml", free_port()
    config.write_text(
        f'hostname = "mta.test"\ndata_dir = "{tmp_path / "var"}"\n'
        f'[api]\nbind = "127.0.0.1:{port}"\n[nats]\nurl = "nats://127.0.0.1:{free_port()}"\n'
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "master", "--config", str(config), "run", "api", env=environment()
    )
    try:
        await until(lambda: _get(port, "/healthz")[0] == 200)
        status, text = await asyncio.to_thread(_get, port, "/readyz")
        assert status == 503
        assert {line.partition(":")[0] for line in json.loads(text)["missing"]} == {
            "broker", "workers of pool default",
        }  # fmt: skip
        status, text = await asyncio.to_thread(_get, port, "/metrics")
        assert status == 200
        assert 'postjet_up{part="broker"} 0.0' in text.splitlines()
    finally:
        process.terminate()
        assert await process.wait() == 0


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
