"""Removing many entries from a queue: by one purge for all on a filter, or for all of a campaign, where that is right.

One by one costs nats-server a flush each, ten times what all else costs that is done with an entry. A purge takes
everything on its subjects up to a sequence. So it is known of each campaign whether anything of it was left behind.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field

from common.broker import Broker, Stored
from common.subjects import campaign_in, queue_stream, with_campaign

#: Entries for which a purge is worth it: nats-server looks at every subject of the filter.
WORTH = 100


@dataclass(slots=True)
class Gone:
    """Entries of one filter that are to be removed, and what they lie among."""

    kept: set[str] | None = None
    """Campaigns of entries that stay, from the first message of the stream on; None: not known."""
    _sequences: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __bool__(self) -> bool:
        return bool(self._sequences)

    def add(self, gone: Iterable[Stored]) -> None:
        """They are to be removed."""
        for stored in gone:
            self._sequences[campaign_in(stored.subject)].append(stored.sequence)

    async def remove(self, broker: Broker, pool: str, filter_: str, *, sure: bool) -> None:
        """Remove them; ``sure``: nothing on the filter stays anyway. Raises what the broker raises."""
        stream = queue_stream(pool)
        if sure or self.kept == set():
            await broker.purge(stream, filter_, before=1 + max(map(max, self._sequences.values())))
        else:
            for campaign, sequences in self._sequences.items():
                if self.kept is not None and campaign not in self.kept and len(sequences) >= WORTH:
                    await broker.purge(stream, with_campaign(filter_, campaign), before=1 + max(sequences))
                else:
                    await gently(broker.remove(stream, sequence) for sequence in sequences)
        self._sequences.clear()


async def gently(work: Iterable[Awaitable[object]], at_once: int = 100) -> None:
    """Await them, not too many at the same time."""
    group: list[Awaitable[object]] = []
    for one in work:
        group.append(one)
        if len(group) == at_once:
            await asyncio.gather(*group)
            group = []
    await asyncio.gather(*group)
