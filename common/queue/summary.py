"""How much lies in the queue for each domain, campaign or pool."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from common.queue.listing import Listed
from common.subjects import HELD, READY


class By(StrEnum):
    """What entries are counted by."""

    DOMAIN = "domain"
    POOL = "pool"
    CAMPAIGN = "campaign"


@dataclass(slots=True)
class Group:
    """Deliveries of one domain, campaign or pool by what they wait for."""

    ready: int = 0
    deferred: int = 0
    scheduled: int = 0
    """For the time that their sender chose."""
    held: int = 0
    bytes: int = 0
    """Of all their messages, one for each delivery."""
    oldest: float = 0
    """Since when the first of them waits, seconds since 1970; 0: all are scheduled."""

    @property
    def count(self) -> int:
        """All of them."""
        return self.ready + self.deferred + self.scheduled + self.held

    def add(self, listed: Listed) -> None:
        """Count an entry."""
        entry = listed.entry
        self.bytes += entry.size if entry else 0
        if listed.sent_later:
            self.scheduled += 1
            return
        self.ready += listed.kind == READY
        self.held += listed.kind == HELD
        self.deferred += listed.kind not in (READY, HELD)
        since = entry.waits_since if entry else datetime.fromisoformat(listed.stored.time).timestamp()
        self.oldest = min(self.oldest or since, since)


async def summarise(entries: AsyncIterator[Listed], by: By) -> dict[str, Group]:
    """Name to group, the largest first. ``""`` is mail without campaign, ``"?"`` what cannot be read."""
    groups: dict[str, Group] = {}
    async for listed in entries:
        groups.setdefault(_name(listed, by), Group()).add(listed)
    return dict(sorted(groups.items(), key=lambda item: (-item[1].count, item[0])))


def _name(listed: Listed, by: By) -> str:
    if by is By.POOL:
        return listed.stored.subject.split(".", 2)[1]
    if listed.entry is None:
        return "?"
    return listed.entry.domain if by is By.DOMAIN else listed.entry.campaign
