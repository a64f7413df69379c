"""What an attempt leaves behind: an event's row, and the log line that Postfix would write."""

import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from common import metrics
from common.classify.classifier import Classifier
from common.classify.reading import classifier
from common.codes import printable
from common.controls.control import Control
from common.counting import count, took
from common.entry import Entry
from common.event import Event, Status, Type
from common.suppression.suppression import Suppression
from outbound.failure import DeliveryFailure
from outbound.site import Delivered
from outbound.ways import Way

log = structlog.get_logger()


@dataclass(slots=True)
class Attempt:
    """One try at an entry. Times in seconds."""

    entry: Entry
    number: int
    worker: str
    started: float
    classifier: Classifier = field(default_factory=classifier)
    site: str = ""
    provider: str = ""
    source: str = ""
    signatures: tuple[str, ...] = ()
    time_dns: float = 0
    sent: float = 0
    """When the site was turned to; 0: it was not."""

    def goes(self, way: Way) -> None:
        """Where it is to go."""
        self.site, self.provider, self.source = way.route.key, way.policy.provider, way.source

    def delivered(self, result: Delivered) -> Event:
        """The row of a delivery that the next hop took over."""
        return self._row(
            Type.DELIVERED,
            Status.DELIVERED,
            code=result.code,
            enhanced_code=result.enhanced,
            text=result.text,
            phase="dot",
            mx_host=result.mx_host,
            mx_address=result.mx_address,
            source_address=result.source_address,
            tls_version=result.tls_version,
            tls_cipher=result.tls_cipher,
            time_connect=result.time_connect,
            time_transfer=result.time_transfer,
        )

    def deferred(self, failure: DeliveryFailure, at: float) -> Event:
        """The row of a try that is to be repeated at a time (seconds since 1970)."""
        return self._failed(Type.DEFERRED, Status.DEFERRED, failure, next_attempt=at)

    def bounced(self, failure: DeliveryFailure) -> Event:
        """The row of a delivery refused for good."""
        return self._failed(Type.BOUNCED, Status.UNDELIVERABLE, failure)

    def expired(self) -> Event:
        """The row of a delivery given up for its age."""
        return self._row(
            Type.EXPIRED, Status.UNDELIVERABLE, reason="expired", enhanced_code="4.4.7", text=self.entry.last_reply
        )

    def suppressed(self, found: Suppression) -> Event:
        """The row of a delivery to somebody who was suppressed while it waited."""
        text = f"suppressed: {found}"
        return self._row(Type.SUPPRESSED, Status.UNDELIVERABLE, reason=found.source, enhanced_code="5.7.1", text=text)

    def stopped(self, order: Control) -> Event:
        """The row of a try that failed for now, of mail that was stopped meanwhile."""
        return self._row(Type.STOPPED, Status.UNDELIVERABLE, reason="stopped", enhanced_code="5.7.0", text=str(order))

    def _failed(self, type_: Type, status: Status, failure: DeliveryFailure, **more: Any) -> Event:
        took = time.time() - self.sent if self.sent else 0.0
        more["time_connect" if failure.phase in _OPENING else "time_transfer"] = took
        return self._row(
            type_,
            status,
            reason=failure.reason,
            phase=failure.phase,
            code=failure.code,
            enhanced_code=failure.enhanced,
            text=failure.text,
            mx_host=failure.host,
            mx_address=failure.address,
            source_address=failure.source_address or self.source,
            **more,
        )

    def _row(self, type_: Type, status: Status, **more: Any) -> Event:
        entry, now = self.entry, time.time()
        row = Event(
            time=now,
            type=type_,
            status=status,
            submission=entry.submission,
            delivery=entry.id,
            attempt=self.number,
            pool=entry.pool,
            worker=self.worker,
            sender=entry.sender,
            recipient=entry.recipient,
            domain=entry.domain,
            site=self.site,
            provider=self.provider,
            campaign=entry.campaign,
            tags=entry.tags,
            meta=entry.meta,
            message_id=entry.message_id,
            size=entry.size,
            priority=entry.priority,
            interface=entry.interface,
            client_address=entry.client_address,
            webhook=entry.webhook,
            signatures=self.signatures,
            time_queue=max(0.0, self.started - entry.waits_since),
            time_dns=self.time_dns,
            time_total=max(0.0, now - entry.waits_since),
            **more,
        )
        if type_ is not Type.DELIVERED and row.reason != "delayed":
            verdict = self.classifier.of(row)
            row.bounce_class, row.bounce_type = verdict.bounce_class, verdict.bounce_type
        log.info(log_line(row))
        _count(row)
        return row


#: Phases before the first message; what comes after counts as transfer.
_OPENING = ("connect", "banner", "ehlo", "starttls", "auth")
_WORDS = {
    Type.DELIVERED: "sent",
    Type.DEFERRED: "deferred",
    Type.BOUNCED: "bounced",
    Type.EXPIRED: "expired",
    Type.STOPPED: "stopped",
    Type.SUPPRESSED: "suppressed",
}


def _count(row: Event) -> None:
    count(metrics.DELIVERY_ATTEMPTS, row.pool, row.type)
    if row.bounce_class:
        count(metrics.DELIVERY_FAILURES, row.pool, row.type, row.bounce_class)
    if row.type == Type.DELIVERED:
        if row.time_connect:
            took(metrics.DELIVERY_SECONDS, row.time_connect, row.pool, "connect")
        took(metrics.DELIVERY_SECONDS, row.time_transfer, row.pool, "transfer")
        took(metrics.DELIVERY_SECONDS, row.time_total, row.pool, "total")


def log_line(row: Event) -> str:
    """``<id>: to=<…>, relay=…, delay=…, delays=a/b/c/d, dsn=…, status=… (…)`` as Postfix writes it.

    ``delays``: in the queue, finding the way, connecting, transferring (seconds).
    """
    relay = f"{row.mx_host}[{row.mx_address}]" if row.mx_host else "none"
    delays = "/".join(map(_seconds, (row.time_queue, row.time_dns, row.time_connect, row.time_transfer)))
    said = " ".join(str(part) for part in (row.code or "", row.enhanced_code, row.text) if part)
    return printable(
        f"{row.delivery}: to=<{row.recipient}>, relay={relay}, delay={_seconds(row.time_total)}, delays={delays}, "
        f"dsn={row.enhanced_code}, status={_WORDS[row.type]} ({said})"
    )


def _seconds(value: float) -> str:
    """Hundredths below ten seconds, then whole ones; no exponents: programs read these lines."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.0f}"
