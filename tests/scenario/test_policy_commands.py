"""Rules set by command while everything runs are what every process reads."""

import asyncio
import json
import os

from scenario_support import broker, postjet

from common.config_file import load
from common.policies.policies import Policies
from master.demo.world import World


async def run(world: World, *arguments: str, code: int = 0) -> str:
    """What a ``postjet policy`` command printed, or said where it failed."""
    done = await postjet("policy", *arguments, config=world.config_file)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


async def test_policy_commands(world: World) -> None:
    config, file = load(str(world.config_file), {})
    policies = Policies.load(config, file)
    before = policies.policy("ruled.test", ["mx.ruled.test"], "s", "default")
    await run(world, "set", "slow", "domain=ruled.test", "rate=5/s", "rate=100/h", "connections=2")
    as_json, as_table = await asyncio.gather(run(world, "list", "--json"), run(world, "list"))
    rule = {"domain": "ruled.test", "rate": ["5/s", "100/h"], "connections": 2}
    assert json.loads(as_json) == [{"name": "slow", "rule": rule, "problem": ""}]
    assert "domain=ruled.test  rate=5/s,100/h  connections=2" in as_table
    async with broker(world) as connection:
        assert await policies.look(connection)
        ruled = policies.policy("ruled.test", ["mx.ruled.test"], "s", "default")
        assert [(limit.amount, limit.per) for limit in ruled.limits if limit.origin == "KV slow"] == [
            (2, 0), (5, 1), (100, 3600),
        ]  # fmt: skip
        await run(world, "remove", "slow")
        assert await policies.look(connection)
    assert policies.policy("ruled.test", ["mx.ruled.test"], "s", "default") == before
    again, as_table = await asyncio.gather(run(world, "remove", "slow", code=os.EX_NOINPUT), run(world, "list"))
    assert "there is no rule 'slow'; 'postjet policy list' names all" in again
    assert "postjet policy set NAME" in as_table
