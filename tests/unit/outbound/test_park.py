"""The park with many ways over one site, and with many sites."""

from support import make_entry

from common import subjects
from common.limits.client import Limiter
from common.limits.limit import Limit, What
from common.policies.policy import Policy
from common.queue.taken import Taken
from outbound.pace import pace
from outbound.park import Park
from outbound.resolver import Record
from outbound.routing import Route
from outbound.site import Means
from outbound.sites import Sites
from outbound.ways import Way

CONNECTIONS = Limit("site:mx.test", What.CONNECTIONS, 1, 0, "here:1")


def ways(count: int) -> list[Way]:
    """Domains of one site, each under a rate of its own."""
    found = []
    for i in range(count):
        limits = (CONNECTIONS, Limit(f"domain:d{i}.test", What.MESSAGES, 50, 1.0, "here:2"))
        found.append(Way(Route("mx.test", (Record(10, "mx.test"),), 25), Policy(limits=limits), pace(limits)))
    return found


def taken(domain: str) -> Taken:
    entry = make_entry(f"r@{domain}")
    return Taken(subjects.entry("q", entry), entry, [], maybe_tried=False, waits=False)


async def test_many_ways_whose_mail_is_dropped() -> None:
    """An order drops the parked mail of 400 domains that share a site, while another mail is at it."""
    sites = Sites(Means(None, Limiter.alone(), "us.test", None))  # type: ignore[arg-type]
    park = Park(sites, lambda _: None, lambda *_: None, lambda entry, _: entry.expires)
    first, *others = ways(400)
    site = sites.get("mx.test", first.pace.connections)
    turn = park.turn(taken("d0.test"), first, site)
    assert turn
    for i, way in enumerate(others):
        one = taken(f"d{i + 1}.test")
        park.push(one, way, site)
        one.dropped = True
    turn.end()
    assert (site.busy, site.lines, park.seated) == (0, 0, 0)


def test_sites_are_bounded() -> None:
    sites = Sites(Means(None, Limiter.alone(), "us.test", None))  # type: ignore[arg-type]
    sites.get("parked").lines = 1
    for i in range(30_000):
        sites.get(f"s{i}")
    assert len(list(sites)) < 11_000
