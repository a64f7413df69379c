"""A message on its way in: header section edited, the whole compressed piece by piece."""

from collections.abc import Collection
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache

from common.codes import LOOP, TOO_BIG, Reply, printable
from common.content import Compressor
from common.controls.control import kept_value
from smtpd_ingress.headers import HeaderReader
from smtpd_ingress.options import PREFIX, Options, read_options
from smtpd_ingress.rejection import RefusedError

#: The one part that is held in memory.
MAX_HEADER = 2**20
# RFC 5321 6.3: a threshold "normally at least 100".
MAX_HOPS = 100
_MAX_LINE = 998  # RFC 5322 2.1.1
_REMOVED = ("bcc", "resent-bcc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How a message came here."""

    helo: str
    client_address: str
    hostname: str
    protocol: str
    """SMTP, ESMTP, ESMTPS …"""
    submission: str
    recipient: str
    """``""`` where there are several: they must not learn of one another (RFC 5321 7.2)."""
    time: float

    @property
    def date(self) -> str:
        """RFC 5322 3.3."""
        return _date(int(self.time))

    @property
    def received(self) -> str:
        """RFC 5321 4.4."""
        ipv6 = "IPv6:" if ":" in self.client_address else ""
        recipient = f"\r\n\tfor <{self.recipient}>" if self.recipient else ""
        return (
            f"Received: from {self.helo} ([{ipv6}{self.client_address}])\r\n"
            f"\tby {self.hostname} (Postjet) with {self.protocol} id {self.submission}{recipient};\r\n"
            f"\t{self.date}\r\n"
        )


class Message:
    """Takes the content in pieces. Once ``refusal`` is set the rest is dropped as it comes.

    Options in the header are removed; they count only where there are ``pools``, the names that one may choose from.
    """

    def __init__(
        self, trace: Trace, max_size: int, pools: Collection[str] = (), kept_fields: Collection[str] = ()
    ) -> None:
        self._trace, self._max_size, self._pools = trace, max_size, pools
        self._header: HeaderReader | None = HeaderReader()
        self._content = Compressor()
        self._taken = 0
        self.submission = trace.submission
        self._kept_fields = kept_fields
        self.kept: dict[str, str] = {}
        """The first field of each name in ``kept_fields`` (lower case): name to value."""
        self.message_id = ""
        self.options = Options()
        self.refusal: Reply | None = None

    @property
    def size(self) -> int:
        """Bytes of the content as it is stored, uncompressed."""
        return self._content.size

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._taken += len(data)
        if self._taken > self._max_size:  # RFC 1870 6.3
            self._refuse(TOO_BIG.but(f"Message too big: more than {self._max_size} bytes"))
        elif self._header:
            self._header.feed(data)
            if self._header.size > MAX_HEADER:
                self._refuse(TOO_BIG.but(f"Message header too big: more than {MAX_HEADER} bytes"))
            elif self._header.done:
                self._edit(self._header)
        elif not self.refusal:
            self._content.feed(data)

    def finish(self) -> bytes:
        """The content's stored form; empty where ``refusal`` is set."""
        if self._header:
            self._edit(self._header)
        return b"" if self.refusal else self._content.finish()

    def _edit(self, header: HeaderReader) -> None:
        """Check and change the header section, pass on what there is."""
        self._header = None
        fields, rest = header.split()
        options = [field for field in fields if field.name.startswith(PREFIX)]
        try:
            if sum(field.name == "received" for field in fields) >= MAX_HOPS:
                raise RefusedError(LOOP)
            if options and self._pools:
                self.options = read_options(options, self._trace.time, self._pools)
        except RefusedError as error:
            self._refuse(error.reply)
            return
        first = {field.name: field for field in reversed(fields)}
        self.kept = {name: kept_value(first[name].value) for name in self._kept_fields if name in first}
        added = self._trace.received
        if identifier := first.get("message-id"):
            self.message_id = printable(identifier.value[:_MAX_LINE])
        else:  # RFC 5321 6.4: what a submission may lack
            self.message_id = f"<{self.submission}@{self._trace.hostname}>"
            added += f"Message-ID: {self.message_id}\r\n"
        if "date" not in first:
            added += f"Date: {self._trace.date}\r\n"
        self._content.feed(added.encode())
        removed = {*_REMOVED, *(field.name for field in options)}
        self._content.feed(b"".join(field.raw for field in fields if field.name not in removed))
        if not rest.startswith((b"\r", b"\n")):
            self._content.feed(b"\r\n")  # the empty line between header section and body was missing
        self._content.feed(rest)

    def _refuse(self, reply: Reply) -> None:
        if not self.refusal:
            self.refusal, self._header, self._content = reply, None, Compressor()


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, localtime=True)
