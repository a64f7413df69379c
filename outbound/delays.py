"""Reports on delays: made once for each that a sender asked to be told of, without another try for their sake."""

import math
import time

from common.entry import Entry
from common.event import Event
from common.queue.taken import Taken
from outbound import notify
from outbound.reporter import Reporter

#: Seconds by which clocks of two machines may differ.
SKEW = 1.0


class Delays:
    """The delays of one worker's mail. ``after``: seconds until a delay is worth a report."""

    def __init__(self, reporter: Reporter, after: float) -> None:
        self._reporter, self._after = reporter, after

    def due(self, entry: Entry) -> float:
        """When the next report is due (seconds since 1970); infinity where none is to come, as for nearly all mail."""
        if not (entry.notify or entry.deliver_by) or not self._reporter.is_told(entry):
            return math.inf
        return next((at for at, _ in notify.delays(entry, self._after)), math.inf)

    def are_due(self, entry: Entry) -> bool:
        """Whether a report is due now."""
        return self.due(entry) <= time.time() + SKEW

    async def report(self, taken: Taken, row: Event, later: Entry, until: float) -> tuple[Entry, Entry | None]:
        """The report that is due, and with it ``later``, the entry as it is to be deferred.

        It is tried until ``until`` (seconds since 1970). Without room there is no report, now or later: a delay is
        no failure. Raises BrokerFailure.
        """
        _, kind = notify.delays(later, self._after)[0]
        report = await self._reporter.delayed(taken, row, kind, until)
        return later.but(reported=",".join(filter(None, (later.reported, kind)))), report

    def schedule(self, later: Entry, at: float) -> tuple[Entry, float]:
        """A deferral until ``at``, or until a report is due if that is earlier; the entry keeps when to try it then."""
        due = self.due(later)
        if due < at:
            return later.but(next_try=at), max(due, time.time())
        return later.but(next_try=0) if later.next_try else later, at
