"""Messages that were recorded not long ago: one of them that comes again is left out.

The broker tells a repeat by its id as long as the message lies in the stream; of one that was recorded, and so purged,
it has forgotten the id when it is started again. Whoever had no answer by then repeats the message.
"""

from collections.abc import Sequence

from events.batch import Piece
from events.store import Store

#: Messages; at 500 of them a second those of 40 seconds, which nobody waits to repeat one.
MOST = 20_000
_DAY = 86_400_000
_SQL = (
    "SELECT id FROM events WHERE row_number = 0 AND stream_sequence >= {from:UInt64} AND stream_sequence < {to:UInt64}"
    " AND time >= now64(3) - INTERVAL 7 DAY ORDER BY stream_sequence"
)


class Recent:
    """The ids of the last messages that were recorded; asks the database, the first time, for those before it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: dict[str, None] | None = None

    def without(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Messages in their order, but for repeats of recorded ones or among themselves; it blocks.

        Raises what Store.query raises. A range that is asked about again gives the same again, for what it asks is what
        was recorded before the range.
        """
        if not pieces:
            return []
        if self._ids is None:
            first = pieces[0].sequence
            rows = self._store.query(_SQL, {"from": max(0, first - MOST), "to": first})
            self._ids = dict.fromkeys(row["id"] for row in rows)
        fresh: dict[str, Piece] = {}
        for piece in pieces:
            key = piece.identifier or str(piece.sequence)
            if key not in self._ids:
                fresh.setdefault(key, piece)
        return list(fresh.values())

    def add(self, pieces: Sequence[Piece]) -> None:
        """They are recorded."""
        if self._ids is None:
            return
        self._ids.update(dict.fromkeys(piece.identifier for piece in pieces if piece.identifier))
        while len(self._ids) > MOST:
            del self._ids[next(iter(self._ids))]
