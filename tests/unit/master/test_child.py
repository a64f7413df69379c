"""What the parent tells the kernel of a child before it begins."""

from pathlib import Path

import pytest

from master.child import Child


@pytest.mark.parametrize("slack", [0, 1_000_000])
async def test_a_childs_sleeps_may_last_longer(slack: int) -> None:
    child = Child("sleeper", ["sleep", "60"], timer_slack=slack)
    await child.start()
    assert child.process
    try:
        assert _slack(str(child.process.pid)) == (slack or _slack("self"))
    finally:
        await child.stop(10)


def _slack(pid: str) -> int:
    return int(Path(f"/proc/{pid}/timerslack_ns").read_text())
