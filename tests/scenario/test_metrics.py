"""What /metrics tells is what happened, over the death of a process; /readyz follows."""

import asyncio
import os
import signal
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from scenario_support import environment, processes, send, send_as
from support import until

from common import metrics
from master.demo.sink_script import Rule
from master.demo.world import World
from master.sockets import free_port


async def test_metrics(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        world.add_domain("a.test")
        world.sinks[0].rules.append(Rule(phase="rcpt", recipient="bad@a.test", reply="550 5.1.1 No such user"))
        await send(world, "r@a.test", "s@a.test", mails=10)
        await send_as(world, "", "bad@a.test")  # from nobody, who gets no report
        await until(lambda: _tells(world, ("postjet_delivery_attempts_total", "default", "delivered"), 20))
        await until(lambda: _tells(world, ("postjet_delivery_attempts_total", "default", "bounced"), 1))
        await until(lambda: _tells(world, ("postjet_events_recorded_total", "delivered"), 20))
        assert await get(world.instance["api"], "/readyz") == 200

        found = await told(world)
        assert {name for name, *_ in found} <= {
            metric.name + suffix for metric in metrics.ALL for suffix in ("", "_bucket", "_count", "_sum")
        }
        assert found["postjet_smtpd_messages_total", "relay", "accepted"] == 11
        assert found["postjet_smtpd_recipients_total", "relay"] == 21
        assert found["postjet_smtpd_message_bytes_total", "relay"] > 11_000
        assert found["postjet_delivery_seconds_count", "total", "default"] == 20
        assert found["postjet_queue_store_seconds_count", "default"] >= 1
        assert not [value for labels in found for value in labels[1:] if "@" in value or "a.test" in value]

        [worker] = [pid for pid, words in processes(tmp_path).items() if "outbound" in words]
        os.kill(worker, signal.SIGKILL)
        await until(lambda: _tells(world, ("postjet_process_restarts_total", "outbound default.0"), 1))
        await send(world, "t@a.test")
        await until(lambda: _tells(world, ("postjet_delivery_attempts_total", "default", "delivered"), 21))
        await _alone(world)


async def _alone(world: World) -> None:
    """``postjet run api`` without a parent tells of the same processes."""
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "master", "--config", str(world.config_file), "run", "api",
        env=environment(POSTJET_API__BIND=address),
    )  # fmt: skip
    try:
        await until(lambda: _answers(address))
        assert (await told(world, address))["postjet_smtpd_messages_total", "relay", "accepted"] == 12
        await until(lambda: _is_ready(address))
    finally:
        process.terminate()
        assert await process.wait() == 0


async def get(address: str, path: str) -> int:
    def ask() -> int:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as response:
            status: int = response.status
            return status

    return await asyncio.to_thread(ask)


async def _answers(address: str) -> bool:
    try:
        return await get(address, "/healthz") == 200
    except OSError:
        return False


async def _is_ready(address: str) -> bool:
    try:
        return await get(address, "/readyz") == 200
    except OSError:
        return False


async def told(world: World, address: str = "") -> dict[tuple[str, ...], float]:
    """Name and label values, sorted by the label's name, to value."""

    def ask() -> str:
        with urllib.request.urlopen(f"http://{address or world.instance['api']}/metrics", timeout=20) as response:
            text: str = response.read().decode()
            return text

    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(await asyncio.to_thread(ask))
        for sample in family.samples
    }


async def _tells(world: World, what: tuple[str, ...], value: float) -> bool:
    return (await told(world)).get(what) == value
