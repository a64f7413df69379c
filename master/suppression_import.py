"""Many suppressions stored together: bucket by bucket, so that a million cost some ten thousand writes."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TextIO

import typer

from common.broker import Broker
from common.suppression import store
from common.suppression.suppression import Suppression, pack, unpack
from master.suppression_csv import Refused

#: Rows held in memory at a time, about 150 bytes each; buckets that are written at the same time.
CHUNK, AT_ONCE = 1_000_000, 64
#: Rows between two words on how far it is.
PROGRESS = 10_000
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
        while (first := next(rows, None)) is not None:
            waiting = iter(self._read(chain([first], islice(rows, CHUNK - 1))).values())
            await asyncio.gather(*(self._store(waiting) for _ in range(AT_ONCE)))

    def _read(self, rows: Iterable[Suppression | Refused]) -> dict[int, list[bytes]]:
        """Rows by their buckets, each packed: as objects they would take twice the memory."""
        buckets: dict[int, list[bytes]] = {}
        for row in rows:
            if isinstance(row, Refused):
                self._refuse(row)
                continue
            self.rows += 1
            buckets.setdefault(store.bucket_of(row.recipient), []).append(pack([row]))
            if not self.rows % PROGRESS:
                self._tell(f"{self.rows:,} rows read …")
        return buckets

    async def _store(self, waiting: Iterator[list[bytes]]) -> None:
        for bucket in waiting:
            added = await store.add(self._broker, [one for packed in bucket for one in unpack(packed)])
            self.added += len(added)
            self._tell(f"{self.added:,} of {self.rows:,} added …")

    def _tell(self, text: str) -> None:
        if self._say:
            self._say.write(f"\r{text:<40}")

    def _refuse(self, row: Refused) -> None:
        self.refused += 1
        if self.refused <= TOLD:
            typer.echo(f"line {row.line}: {row.why}; left out", err=True)
        elif self.refused == TOLD + 1:
            typer.echo("further lines that are wrong are only counted", err=True)
