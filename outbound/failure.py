"""Why a delivery did not happen: one exception for DNS, network, TLS and replies, one for what has to wait."""

from dataclasses import dataclass

from common.limits.limit import Limit
from outbound.reply import Reply


@dataclass(eq=False, kw_only=True)
class DeliveryFailure(Exception):
    """One attempt failed. Not known to be permanent means temporary."""

    permanent: bool
    code: int
    """The server's, or the nearest of ours (RFC 5321 4.2.3)."""
    enhanced: str
    """Enhanced status code (RFC 3463)."""
    text: str
    phase: str
    """dns, connect, banner, ehlo, starttls, auth, rset, mail, rcpt, data, dot, report."""
    reason: str
    """dns, no_address, null_mx, loop, prohibited, connect, closed, timeout, tls, auth, protocol,
    source, unsupported, full or rejected (the server said so)."""
    host: str = ""
    address: str = ""
    source_address: str = ""
    """Ours that the connection came from."""
    site_down: bool = False
    """No host of the site could be talked to: the fault is not this recipient's."""

    @property
    def said_by(self) -> str:
        """The host whose words these are; ``""`` where they are ours."""
        return self.host if self.reason == "rejected" else ""

    def __str__(self) -> str:
        relay = f"{self.host}[{self.address}]: " if self.host else ""
        return f"{relay}{self.code} {self.enhanced} {self.text}"


class NotNowError(Exception):
    """A rate has no token for this mail before ``wait`` seconds; nothing was begun."""

    def __init__(self, wait: float, limit: Limit | None) -> None:
        super().__init__(wait, limit)
        self.wait, self.limit = wait, limit


def temporary(enhanced: str, text: str, *, phase: str, reason: str, code: int = 451) -> DeliveryFailure:
    """A failure that we found, worth another attempt."""
    return DeliveryFailure(permanent=False, code=code, enhanced=enhanced, text=text, phase=phase, reason=reason)


def permanent(enhanced: str, text: str, *, phase: str, reason: str, code: int = 550) -> DeliveryFailure:
    """A failure that we found, final."""
    return DeliveryFailure(permanent=True, code=code, enhanced=enhanced, text=text, phase=phase, reason=reason)


def rejected(reply: Reply, phase: str) -> DeliveryFailure:
    """A reply that is no yes. One that is no refusal either (250 to DATA) is out of protocol, so temporary."""
    if reply.kind not in (4, 5):
        return temporary("4.5.0", f"unexpected reply: {reply}", phase=phase, reason="protocol")
    return DeliveryFailure(
        permanent=reply.kind == 5,
        code=reply.code,
        enhanced=reply.enhanced or f"{reply.kind}.0.0",
        text=reply.text,
        phase=phase,
        reason="rejected",
    )
