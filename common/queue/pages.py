"""Pages of a queue, the next one read while the last is worked on: that takes the broker as long as us."""

import asyncio

from common.broker import Broker, Stored
from common.subjects import queue_stream

#: Entries and bytes of a page. Each costs nats-server a look at every subject of the filter.
STEP, STEP_BYTES = 25_000, 64 * 2**20


class Pages:
    """Reads pages, one at a time."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._ahead: tuple[tuple[str, str, int], asyncio.Task[list[Stored]]] | None = None

    async def read(self, pool: str, filter_: str, first: int) -> list[Stored]:
        """Entries from a sequence on; what was read ahead, if it is that. Raises what ``Broker.page`` raises."""
        if self._ahead:
            what, page = self._ahead
            self._ahead = None
            if what == (pool, filter_, first):
                return await page
            page.cancel()
        return await self.fetch(pool, filter_, first)

    def read_ahead(self, pool: str, filter_: str, first: int) -> None:
        """This will be asked for next."""
        self.forget()
        page = asyncio.create_task(self.fetch(pool, filter_, first))
        page.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._ahead = (pool, filter_, first), page

    def forget(self) -> None:
        """Nothing will be asked for."""
        if self._ahead:
            self._ahead[1].cancel()
            self._ahead = None

    async def fetch(self, pool: str, filter_: str, first: int) -> list[Stored]:
        """Entries from a sequence on. Raises what ``Broker.page`` raises."""
        query = {"seq": first, "batch": STEP, "max_bytes": STEP_BYTES, "next_by_subj": filter_}
        return await self.broker.page(queue_stream(pool), query)
