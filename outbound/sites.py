"""All sites of a process."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator

from common.limits.limit import Limit
from outbound.site import Means, Site

MAX_SITES = 10_000
#: Sites that are looked at for each that is asked for, where there are too many.
LOOKS = 4


class Sites:
    """The sites by key, limits and source address; those unused for longest are forgotten beyond ``MAX_SITES``."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._sites: OrderedDict[tuple[str, tuple[Limit, ...], str], Site] = OrderedDict()
        self.on_free: Callable[[Site], None] = lambda _: None
        """Told a site that may have a seat for who waits."""
        self.on_up: Callable[[Site], None] = lambda _: None
        """Told a site that was down and is up again."""
        means.limiter.on_wanted = self._wanted

    def get(self, key: str, limits: tuple[Limit, ...] = (), source: str = "") -> Site:
        """The site of a route, for mail with these limits of connections, from an address of ours ("": any).

        Ask again after every await: a site without connections may be forgotten.
        """
        which = key, limits, source
        if which not in self._sites:
            self._sites[which] = site = Site(self._means, key, limits, source, self._free)
            site.on_up = self._up
        self._sites.move_to_end(which)
        for _ in range(min(LOOKS, len(self._sites) - MAX_SITES)):
            oldest, site = next(iter(self._sites.items()))
            if site.unused:
                del self._sites[oldest]
            else:
                self._sites.move_to_end(oldest)
        return self._sites[which]

    def __iter__(self) -> Iterator[Site]:
        """All of them."""
        return iter(self._sites.values())

    def levels(self) -> dict[str, int]:
        """How many connections are in which state."""
        sites = self._sites.values()
        return {"busy": sum(site.busy for site in sites), "idle": sum(site.idle for site in sites)}

    def close_idle(self) -> None:
        """Say QUIT on all idle connections."""
        for site in list(self._sites.values()):
            site.close_idle()

    async def close(self) -> None:
        """Say QUIT on all idle connections and wait for the answers."""
        await asyncio.gather(*(site.close() for site in self._sites.values()))

    def _free(self, site: Site) -> None:
        self.on_free(site)

    def _up(self, site: Site) -> None:
        self.on_up(site)

    def _wanted(self, key: str, group: str, only_spare: bool) -> None:
        """Others wait for a slot of a key that a site holds."""
        for site in list(self._sites.values()):
            if site.key == group and any(limit.key == key for limit in site.limits):
                if only_spare:
                    site.close_idle()
                else:
                    site.give_up_one()
