"""The suppressions as one process knows them: a compact table, a change known within a second."""

import asyncio
import time

import structlog

from common.broker import Broker
from common.suppression import store
from common.suppression.suppression import Suppression, unpack_records
from common.suppression.table import Table
from common.waits import keep_looking

log = structlog.get_logger()

#: Seconds between two looks.
EVERY = 0.5


class Suppressions:
    """Whom mail is not sent to. ``start`` reads it, ``watch`` keeps it up to date."""

    def __init__(self) -> None:
        self._table = Table()
        self._sequence = 0

    def __len__(self) -> int:
        return self._table.count

    def find(self, sender: str, recipient: str, now: float | None = None) -> Suppression | None:
        """``Table.find``; ``now``: seconds since 1970."""
        return self._table.find(sender, recipient, time.time() if now is None else now)

    async def start(self, broker: Broker) -> None:
        """Read all of it: mail is taken and sent after that. Raises BrokerFailure."""
        await self.look(broker)

    async def watch(self, broker: Broker, every: float = EVERY) -> None:
        """Look again and again, for ever; a broker that does not answer is asked again."""
        await keep_looking(lambda: self.look(broker), every, "suppressions")

    async def look(self, broker: Broker) -> bool:
        """Take over what changed; whether something did. Raises BrokerFailure."""
        last = await store.last_sequence(broker)
        if last == self._sequence:
            return False
        if last < self._sequence:  # another store, put back from a copy
            self._table, self._sequence = Table(), 0
        seen = last
        async for stored in store.changed(broker, self._sequence):
            try:
                self._table.put(store.number_in(stored.subject), unpack_records(stored.body))
            except (ValueError, TypeError, LookupError, OverflowError) as error:
                log.error("suppressions: %s cannot be read and holds nothing back: %r", stored.subject, error)
            seen = max(seen, stored.sequence)
            await asyncio.sleep(0)  # a million of them take seconds, and mail goes on meanwhile
        self._sequence = seen
        return True
