"""Rejections as events: gathered per client and reason, one batch a second, capped, drops counted."""

import asyncio
import contextlib
import time

import structlog

from common import metrics
from common.broker import Broker, BrokerFailure
from common.counting import count
from common.event import Event, Type
from common.queue.rows import message as rows_message
from smtpd_ingress.rejection import Rejection

log = structlog.get_logger()

INTERVAL = 1.0
#: Different rejections in one batch; the rest is only counted.
CAP = 1000


class Rejections:
    """Gathers what listeners refuse."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._gathered: dict[tuple[str, str, str, int, str, str], tuple[Rejection, int]] = {}
        self._dropped = 0

    def add(self, rejection: Rejection) -> None:
        """Count a rejection. The first of its kind stands for all in its second."""
        r = rejection
        count(metrics.SMTPD_REJECTIONS, r.interface, r.phase, str(r.code))
        key = (r.interface, r.client_address, r.phase, r.code, r.enhanced, r.text)
        if key in self._gathered:
            first, times = self._gathered[key]
            self._gathered[key] = first, times + 1
        elif len(self._gathered) < CAP:
            self._gathered[key] = rejection, 1
        else:
            self._dropped += 1

    async def send(self) -> None:
        """Send what was gathered every second, for ever; what the broker does not take is only logged."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Send what was gathered, one try: a rejection is worth no more."""
        gathered, self._gathered = self._gathered, {}
        dropped, self._dropped = self._dropped, 0
        now = time.time()
        rows = [_row(now, rejection, count) for rejection, count in gathered.values()]
        if dropped:
            rows.append(Event(time=now, type=Type.REJECTED, reason="more than could be listed", count=dropped))
        if rows:
            with contextlib.suppress(BrokerFailure):
                await self._broker.put(rows_message("default", rows))


def _row(now: float, rejection: Rejection, count: int) -> Event:
    return Event(
        time=now,
        type=Type.REJECTED,
        interface=rejection.interface,
        client_address=rejection.client_address,
        sender=rejection.sender,
        recipient=rejection.recipient,
        phase=rejection.phase,
        code=rejection.code,
        enhanced_code=rejection.enhanced,
        text=rejection.text,
        reason="rejected",
        count=count,
    )
