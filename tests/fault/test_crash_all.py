"""Every process is killed while entries lie in the queue: docs/queue-states.md, "At rest"."""

import pytest
from crash_support import DOMAIN, LATER, PATIENCE, PROCESSES, WORKER, Crashes, unreadable
from queue_support import submit
from support import make_entry, until

from master.demo.sink_script import Rule

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_entries_at_rest(crashes: Crashes) -> None:
    """One is queued, one deferred, one held: all are still there, and go on as they would have."""
    await crashes.begin(Rule(phase="rcpt", reply=LATER, times=1))
    assert await crashes.send()
    await until(lambda: crashes.lies_there("s"), PATIENCE)
    await unreadable(crashes.connection)
    await until(lambda: crashes.lies_there("hs"), PATIENCE)
    with crashes.parent_stopped():
        await crashes.kill(WORKER)
        await submit(crashes.connection, make_entry(f"queued@{DOMAIN}"))
        for victim in PROCESSES:
            if victim != WORKER:
                await crashes.kill(victim)
    await until(lambda: crashes.lies_there("hs"), PATIENCE)
    await crashes.fire()
    await crashes.end("accepted accepted deferred delivered delivered held", arrives=2, held="h")
