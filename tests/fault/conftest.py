"""The world of the crash tests: a running Postjet whose processes can be killed at named points of their code."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from crash_support import DOMAIN, FEEDBACK_DOMAIN, FUNCTIONS, HOOKS, SECRET, Crashes
from scenario_support import broker

from master.demo.world import World


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def crashes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crashes]:
    """Shared by all crash tests, each of which leaves it empty. Nothing is tried again unless a test says so."""
    folder = tmp_path_factory.mktemp("crashes")
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "functions").write_text("\n".join(sorted(FUNCTIONS)))
    delivery = {"connections": 1, "retry_first": "1h", "retry_max": "1h"}
    feedback = {"domain": FEEDBACK_DOMAIN, "secrets": [SECRET]}
    # of what bounces only a full mailbox is suppressed, for its sender
    full = {"soft_bounces": "sender", "soft_count": 1, "soft_classes": ["mailbox-full"]}
    suppression = {"hard_bounces": "off", **full}
    settings = {"delivery": delivery, "feedback": feedback, "suppression": suppression}
    world = World(folder, sinks=1, settings=settings)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FAULT_HOOKS", str(hooks))
        environment.setenv("PYTHONPATH", os.pathsep.join([str(HOOKS), *filter(None, [os.environ.get("PYTHONPATH")])]))
        await world.__aenter__()
    try:
        world.add_domain(DOMAIN)
        async with broker(world) as connection:
            yield Crashes(world, hooks, connection)
    finally:
        await world.close()
