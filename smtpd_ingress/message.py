"""A message on its way in: header section edited, the whole compressed piece by piece."""

from collections.abc import Collection
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache

from common.codes import LOOP, NO_MEMORY, TOO_BIG, Reply, printable
from common.content import Compressor
from common.controls.control import kept_value
from common.options import NOTHING
from smtpd_ingress.headers import HeaderReader
from smtpd_ingress.line_ends import LineEnds
from smtpd_ingress.memory import Memory, Share
from smtpd_ingress.options import HeaderOptions
from smtpd_ingress.rejection import RefusedError

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
    tls: str = ""
    """Its version and cipher, as a comment says it; ``""`` in clear."""
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
        tls = f"\r\n\t({self.tls})" if self.tls else ""
        return (
            f"Received: from {self.helo} ([{ipv6}{self.client_address}]){tls}\r\n"
            f"\tby {self.hostname} (Postjet) with {self.protocol} id {self.submission}{recipient};\r\n"
            f"\t{self.date}\r\n"
        )


class Message:
    """Takes the content in pieces. Once ``refusal`` is set the rest is dropped as it comes.

    Bare line ends are mended with ``fix``, else refused. Options in the header are removed; ``header_options`` says
    which they are and whether they count.
    """

    def __init__(
        self,
        trace: Trace,
        max_size: int,
        header_options: HeaderOptions,
        kept_fields: Collection[str] = (),
        *,
        fix: bool = True,
        share: Share | None = None,
    ) -> None:
        self._trace, self._max_size, self._header_options = trace, max_size, header_options
        self._line_ends = LineEnds(fix=fix)
        self._header: HeaderReader | None = HeaderReader()
        self._content = Compressor()
        self._share = share or Memory(0).share(trusted=True)
        self._taken = 0
        self.submission = trace.submission
        self._kept_fields = kept_fields
        self.kept: dict[str, str] = {}
        """The first field of each name in ``kept_fields`` (lower case): name to value."""
        self.message_id = ""
        self.options = NOTHING
        self.refusal: Reply | None = None

    @property
    def size(self) -> int:
        """Bytes of the content as it is stored, uncompressed."""
        return self._content.size

    @property
    def endless(self) -> bool:
        """Whether more was read and dropped than a client can mean that is worth an answer at its end."""
        return self._taken > most_read(self._max_size)

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._taken += len(data)
        if self.refusal:
            return
        try:
            if self._taken > self._max_size:  # RFC 1870 6.3
                raise RefusedError(TOO_BIG.but(f"Message too big: more than {self._max_size} bytes"))
            self._add(self._line_ends.feed(data))
        except RefusedError as error:
            self.refuse(error.reply)

    async def room(self) -> None:
        """Wait until there is memory for more of it; refused where that takes too long."""
        if self.refusal:  # the rest takes none
            return
        try:
            await self._share.memory.room(self._share)
        except TimeoutError:
            self.refuse(NO_MEMORY)

    def refuse(self, reply: Reply) -> None:
        """Drop it: ``reply`` is the answer at its end."""
        self.refusal, self._header, self._content = reply, None, Compressor()
        self._share.set(0)

    def finish(self) -> bytes:
        """The content's stored form; empty where ``refusal`` is set."""
        try:
            if not self.refusal:
                self._add(self._line_ends.finish())
                if self._header:
                    self._edit(self._header)
        except RefusedError as error:
            self.refuse(error.reply)
        return b"" if self.refusal else self._content.finish()

    def _add(self, data: bytes) -> None:
        if not self._header:
            self._content.feed(data)
        else:
            self._header.feed(data)
            if self._header.done:
                self._edit(self._header)
        self._share.set(self._header.held if self._header else self._content.held)

    def _edit(self, header: HeaderReader) -> None:
        """Check and change the header section, pass on what there is. Raises RefusedError."""
        self._header = None
        fields, rest = header.split()
        names = [field.name for field in fields]
        if names.count("received") >= MAX_HOPS:
            raise RefusedError(LOOP)
        if options := self._header_options.among(fields):
            self.options = self._header_options.read(options, self._trace.time)
        first = dict(zip(reversed(names), reversed(fields), strict=True))
        self.kept = {name: kept_value(first[name].value) for name in self._kept_fields if name in first}
        added = self._trace.received
        if identifier := first.get("message-id"):
            self.message_id = printable(identifier.value[:_MAX_LINE])
        else:  # RFC 5321 6.4: what a submission may lack
            self.message_id = f"<{self.submission}@{self._trace.hostname}>"
            added += f"Message-ID: {self.message_id}\r\n"
        if "date" not in first:
            added += f"Date: {self._trace.date}\r\n"
        removed = {*_REMOVED, *(field.name for field in options)}
        empty_line = b"" if rest.startswith(b"\r\n") else b"\r\n"  # it was missing
        kept = (field.raw for field in fields if field.name not in removed)
        self._content.feed(b"".join((added.encode(), *kept, empty_line, rest)))


def most_read(max_size: int) -> int:
    """Bytes of a message that are read where ``max_size`` are taken: the rest is dropped, then comes the refusal."""
    return 2 * max_size + 2**20


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, localtime=True)
