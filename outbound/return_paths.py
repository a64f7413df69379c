"""Mail leaves with a return path in ``feedback.domain`` (``common.verp``): what comes back names its delivery."""

from collections.abc import Callable

from common.entry import Entry
from common.verp import HEADER, Tokens
from outbound.smtp import Envelope


class ReturnPaths:
    """The return paths of one worker's mail."""

    def __init__(self, domain: str, tokens: Callable[[], Tokens]) -> None:
        self._domain, self._tokens = domain, tokens

    def put_on(self, entry: Entry, envelope: Envelope, message: bytes, now: float) -> tuple[Envelope, bytes]:
        """Envelope and message as they leave ``now`` (seconds since 1970).

        The field is not signed, for shared content is signed once for all its recipients, and needs not to be: it is
        itself. Null stays null (RFC 5321 4.5.5), and so nothing comes back of what we pass on or report.
        """
        if not envelope.sender:
            return envelope, message
        token = self._tokens().make(entry, now)
        return envelope._replace(sender=f"{token}@{self._domain}"), f"{HEADER}: {token}\r\n".encode() + message
