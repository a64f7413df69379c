"""What cannot be recorded or delivered by any means is set aside, and commands list it with its reason."""

import base64
import json

import pytest
from scenario_support import broker, postjet, query
from support import until

from common.broker import Message
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_unreadable_event(world: World) -> None:
    async with broker(world) as connection:
        sequence = await connection.put(Message("e.default", b"\xff of a later version"))

    async def is_there() -> bool:
        return bool(await query(world, "SELECT 1 FROM events_set_aside"))

    await until(is_there)
    shown = await postjet("events", "--set-aside", config=world.config_file)
    assert shown.returncode == 0
    first, *remedy = shown.stdout.splitlines()
    assert f"message {sequence}, row 0, 20 bytes: not an events message" in first
    assert "later version" in " ".join(remedy)
    done = await postjet("events", "--set-aside", "--json", config=world.config_file)
    told = json.loads(done.stdout)
    assert base64.b64decode(told["message"]) == b"\xff of a later version"
    assert (told["stream_sequence"], told["row_number"]) == (sequence, 0)
    done = await postjet("events", "--set-aside", "--since", "0s", config=world.config_file)
    assert done.stdout == "Nothing is set aside\n"
    done = await postjet("events", "--set-aside", "--follow", config=world.config_file)
    assert done.returncode == 64


async def test_an_unreadable_entry(world: World) -> None:
    before = await postjet("queue", "--held", config=world.config_file)
    assert before.stdout == "Nothing is held\n"
    async with broker(world) as connection:
        await connection.put(Message("q.default.1.1.b.-.01k80104jjg883qldg58.1", b"nonsense"))
        await connection.put(Message("s.default.2.2.b.-.01k80104jjg883qldg59.1", b"waits"))

    async def held() -> bool:
        return "01k80104jjg883qldg58-1!" in (await postjet("queue", "--held", config=world.config_file)).stdout

    await until(held)
    shown = await postjet("queue", "--held", config=world.config_file)
    assert "01k80104jjg883qldg59" not in shown.stdout
    assert "(not a queue entry" in shown.stdout
    done = await postjet("queue", "--held", "--json", config=world.config_file)
    told = json.loads(done.stdout)
    assert (told["queue_name"], told["queue_id"]) == ("hold", "01k80104jjg883qldg58-1")
    assert told["reason"].startswith("not a queue entry")
    async with broker(world) as connection:
        await connection.purge("MQ_default", "*.default.*.*.b.-.01k80104jjg883qldg58.1")
        await connection.purge("MQ_default", "*.default.*.*.b.-.01k80104jjg883qldg59.1")
