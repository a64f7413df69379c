"""What a worker does about suppressions: it sends nothing to those, and tells who bounces."""

from collections.abc import Awaitable, Callable
from functools import partial

from common.broker import Broker
from common.entry import Entry
from common.event import Event
from common.suppression.changes import forget_bounces, suppress
from common.suppression.rules import Rules
from common.suppression.suppression import Source, Suppression
from common.suppression.suppressions import Suppressions

Storing = Callable[[], Awaitable[object]]


class Suppressor:
    """The suppressions of one worker."""

    def __init__(self, broker: Broker, rules: Rules, known: Suppressions) -> None:
        self._broker, self._rules, self._known = broker, rules, known

    @property
    def tells(self) -> bool:
        """Whether the sender of queued mail to somebody who is suppressed is told."""
        return self._rules.at_rcpt == "refuse"

    def over(self, entry: Entry) -> Suppression | None:
        """The suppression that an entry is under."""
        found = self._known.find(entry.sender, entry.recipient)
        return found if found and found.source is not Source.COUNTED else None

    def failed(self, row: Event, pool: str) -> Storing | None:
        """What has to be stored of a delivery that ended with ``row``."""
        new = self._rules.bounced(row)
        return partial(suppress, self._broker, self._rules, new, pool) if new else None

    def delivered(self, entry: Entry) -> Storing | None:
        """What has to be stored of a delivery that was taken: its recipient's soft bounces count no more."""
        found = self._known.find(entry.sender, entry.recipient)
        counted = found and found.source is Source.COUNTED
        return partial(forget_bounces, self._broker, found) if found and counted else None
