"""Many suppressions stored together: bucket by bucket, so that a million cost some ten thousand writes."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO

import typer

from common.broker import Broker
from common.suppression import store
from common.suppression.suppression import Suppression
from master.suppression_csv import Refused

#: Rows held in memory at a time, about 300 bytes each; buckets that are written at the same time.
CHUNK, AT_ONCE = 250_000, 32
#: Refused rows that are told one by one.
TOLD = 20


class Import:
    """Counts while it stores. ``say``: where progress is shown."""

    def __init__(self, broker: Broker, say: TextIO | None = None) -> None:
        self._broker, self._say = broker, say
        self.rows = self.added = self.refused = 0

    @property
    def there(self) -> int:
        """How many were there already, or twice in the list."""
        return self.rows - self.added

    async def run(self, rows: Iterator[Suppression | Refused]) -> None:
        """Store all of them; repeating it changes nothing. Raises BrokerFailure, FullError, UsageError."""
        while chunk := list(islice(rows, CHUNK)):
            buckets: dict[int, list[Suppression]] = {}
            for row in chunk:
                if isinstance(row, Refused):
                    self._refuse(row)
                else:
                    self.rows += 1
                    buckets.setdefault(store.bucket_of(row.recipient), []).append(row)
            del chunk
            await self._store(buckets.values())

    async def _store(self, buckets: Iterable[list[Suppression]]) -> None:
        waiting = iter(buckets)
        await asyncio.gather(*(self._store_each(waiting) for _ in range(AT_ONCE)))

    async def _store_each(self, waiting: Iterator[list[Suppression]]) -> None:
        for bucket in waiting:
            added = await store.add(self._broker, bucket)
            self.added += len(added)
            if self._say:
                self._say.write(f"\r{self.added:,} added …")

    def _refuse(self, row: Refused) -> None:
        self.refused += 1
        if self.refused <= TOLD:
            typer.echo(f"line {row.line}: {row.why}; left out", err=True)
        elif self.refused == TOLD + 1:
            typer.echo("further lines that are wrong are only counted", err=True)
