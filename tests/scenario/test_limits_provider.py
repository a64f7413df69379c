"""A cap of a provider holds over its sites together, and they share what it allows."""

from pathlib import Path

from limits_support import arrived, domains_in_all_lanes, host, max_sum
from scenario_support import SENDER, ids

from master.demo.generator import make_message, send_all
from master.demo.world import World

MAILS, CONNECTIONS = 200, 4


async def test_limits_provider(tmp_path: Path) -> None:
    sites = [domains_in_all_lanes("one"), domains_in_all_lanes("two")]
    provider, rule = {"name": "big", "mx": ["mx.one", "mx.two"]}, {"provider": "big", "connections": CONNECTIONS}
    settings = {"pools.default": {"workers": 4}, "providers": [provider], "policies": [rule]}
    world = World(tmp_path, sinks=1, settings=settings)
    async with (
        world,
        host(world, "127.0.1.1", "mx.one", *sites[0], wait=0.1) as one,
        host(world, "127.0.1.2", "mx.two", *sites[1], wait=0.1) as two,
    ):
        for domains in sites:  # the second site comes when the first has all connections
            content = make_message(1000, sender=SENDER)
            mails = [(SENDER, [f"r@{domains[i % 4]}"], content) for i in range(MAILS)]
            ids(await send_all(mails, "127.0.0.1", world.smtp_port, 4))
        await arrived(one, MAILS, 60)
        await arrived(two, MAILS, 60)
    end = min(one.mails[-1], two.mails[-1])
    both = [len([time for time in site.mails if two.mails[0] < time < end]) for site in (one, two)]
    most = max_sum(one.open_changes + two.open_changes)
    seconds = max(one.mails[-1], two.mails[-1]) - one.mails[0]
    print(
        f"\nmost open {most} ({one.max_open} and {two.max_open}), while both had mail {both[0]} and {both[1]} went, "
        f"{2 * MAILS} in {seconds:.1f} s, {CONNECTIONS * 10}/s at most, connections {len(one.opened + two.opened)}"
    )
    assert most <= CONNECTIONS
    assert min(both) >= max(both) / 3
