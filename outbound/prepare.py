"""What leaves: content fetched, normalised, signed. Once per content and worker, not once per recipient."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from common import content
from common.content import BodyRef
from common.entry import Entry
from common.key_store import KeyStore
from common.queue.reports import FEEDBACK
from common.queue.take import Taker
from common.queue.taken import Taken
from common.unsubscribe import Links
from outbound import mime
from outbound.long_lines import shortened
from outbound.normalise import normalise
from outbound.sign import from_domain, sign

#: Bytes of shared content that are kept ready.
CACHE_BYTES = 64 * 2**20
#: Parts of a message whose headers are looked at for what needs SMTPUTF8.
MAX_LOOKED_AT = 1000


class UnsignedError(Exception):
    """``dkim.required`` is set and there is no key for the message's From domain."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message as it goes over the wire (before dot-stuffing)."""

    message: bytes
    signatures: tuple[str, ...]
    """``domain:selector:algorithm`` of each signature put on."""
    smtputf8: bool = False
    """Some header in it needs SMTPUTF8."""


class Preparer:
    """Prepares the entries of one worker."""

    def __init__(
        self, taker: Taker, keys: KeyStore, *, signature_required: bool, links: Links | None = None
    ) -> None:
        """``links``: what puts on a link to unsubscribe, where that is configured."""
        self._links = links
        self._taker, self._keys, self._required = taker, keys, signature_required
        self._shared: OrderedDict[str, asyncio.Task[Prepared]] = OrderedDict()
        self._bytes = 0

    async def prepare(self, taken: Taken) -> Prepared:
        """Raises MissingError, CorruptError, BadKeyError, UnsignedError and what the broker raises."""
        entry = taken.entry
        if entry.unsubscribe or not isinstance(entry.content, BodyRef):  # whose link is nobody else's
            return self._build(await self._taker.content(taken), entry)
        task = self._shared.get(entry.submission)
        if task is None:
            task = self._shared[entry.submission] = asyncio.create_task(self._fetch(taken))
            task.add_done_callback(lambda done: self._keep(entry.submission, done))
        self._shared.move_to_end(entry.submission)
        return await asyncio.shield(task)

    async def _fetch(self, taken: Taken) -> Prepared:
        return self._build(await self._taker.content(taken), taken.entry)

    def _build(self, stored: bytes, entry: Entry) -> Prepared:
        message = shortened(normalise(content.load(stored)))
        if entry.unsubscribe and self._links:
            message = self._links.fields(entry, message) + message
        domain = from_domain(message)
        keys = self._keys.keys_for(domain) if domain else ()
        if not keys and self._required and entry.interface != FEEDBACK:  # of what is passed on, From is another's
            raise UnsignedError(f"no DKIM key for {domain or 'a message without From'}; see 'postjet dkim new'")
        signed = sign(message, keys, int(time.time())) + message if keys else message
        signatures = tuple(f"{key.domain}:{key.selector}:{key.algorithm}" for key in keys)
        return Prepared(signed, signatures, entry.smtputf8 and _needs_smtputf8(message))

    def _keep(self, submission: str, done: "asyncio.Task[Prepared]") -> None:
        if done.cancelled() or done.exception():
            self._shared.pop(submission, None)
            return
        self._bytes += len(done.result().message)
        while self._bytes > CACHE_BYTES and self._shared:
            oldest, task = next(iter(self._shared.items()))
            if not task.done():
                break
            del self._shared[oldest]
            if not task.cancelled() and not task.exception():
                self._bytes -= len(task.result().message)


def _needs_smtputf8(message: bytes) -> bool:
    """Whether a header is not ASCII (RFC 6532 3); that a client said SMTPUTF8 alone asks nothing of the next hop."""
    if message.isascii():
        return False
    headers = enumerate(mime.headers(message))  # in a message of more parts than anybody makes there may be one
    return any(number > MAX_LOOKED_AT or not header.isascii() for number, header in headers)
