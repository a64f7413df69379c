"""Which delivery a mail that came back is about: what it names, the best first. No I/O.

A token proves that who sends it was sent the mail, or was told of it: nobody else can make one. A Message-ID proves
nothing, for others know it too and some can be guessed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from common.entry import Entry
from common.recipients import bare, forms, hashed
from common.verp import HEADER, Token, Tokens
from dsn.history import Accepted, Delivery
from dsn.parse import Feedback

#: Bytes in which tokens are looked for where no field names one, and how many are tried.
LOOKED_AT, MOST_TRIED = 100_000, 20
#: Message-IDs that are asked about, beside the envelope id; characters of one.
MOST_IDS, LONGEST_ID = 3, 1000
_LOOKS_LIKE_A_TOKEN = re.compile(rb"(?<![0-9a-z])[0-9a-v]{52}(?![0-9a-z])", re.IGNORECASE)


class How(StrEnum):
    """By what a delivery was found; ``phase`` of the row. The trust that the match deserves."""

    RETURN_PATH = "return-path"
    """It came to the return path of the delivery."""
    TOKEN = "token"
    """The token of the delivery is in it."""
    ENVELOPE_ID = "envelope-id"
    """It quotes its ENVID (RFC 3464 2.2.1), which its sender chose and every server on the way knows."""
    MESSAGE_ID = "message-id"
    """It quotes its Message-ID, which anybody may."""
    NOTHING = "unmatched"

    @property
    def is_proof(self) -> bool:
        """Whether something may be done for it that harms somebody if it is forged."""
        return self in (How.RETURN_PATH, How.TOKEN)


@dataclass(frozen=True, slots=True)
class Match:
    """The delivery that it is about."""

    how: How
    token: Token | None = None
    delivery: str = ""
    submission: str = ""
    """Of which the delivery is; alone where it is not known which."""


def by_token(entry: Entry, feedback: Feedback, message: bytes, tokens: Tokens) -> Match | None:
    """By the address that it came to, else by a token in it."""
    if token := tokens.read(entry.recipient.rpartition("@")[0]):
        return Match(How.RETURN_PATH, token, token.delivery, token.submission)
    for text in _named(feedback, message):
        if token := tokens.read(text):
            return Match(How.TOKEN, token, token.delivery, token.submission)
    return None


def _named(feedback: Feedback, message: bytes) -> Iterator[str]:
    """What may be a token: our field, the return path as the last server or a report has it, then anything."""
    original = feedback.original
    yield original.first(HEADER)
    paths = [original.first("return-path"), feedback.complaint.mail_from if feedback.complaint else ""]
    for path in paths:
        yield path.strip("<> ").rpartition("@")[0]
    for match in islice(_LOOKS_LIKE_A_TOKEN.finditer(message[:LOOKED_AT]), MOST_TRIED):
        yield match[0].decode()


def quoted(feedback: Feedback) -> list[tuple[How, str]]:
    """Envelope id and Message-IDs to ask about, the likeliest first; none that we cannot have recorded.

    Strangers write them, half of a surrogate pair too, which no question to the database can have in it: with this one
    those of all others would fail that are asked together with it.
    """
    original = feedback.original
    found = [(How.ENVELOPE_ID, original.envelope_id)] if original.envelope_id else []
    found += [(How.MESSAGE_ID, one) for one in original.message_ids[:MOST_IDS]]
    return [(how, one) for how, one in found if len(one) <= LONGEST_ID and one.isprintable()]


def by_quoted(how: How, feedback: Feedback, found: Sequence[Accepted], key: bytes | None = None) -> Match | None:
    """By who it is about, among submissions that have what it quotes; ``key`` is of hashed recipients."""
    named = {form for address in _about(feedback) for form in forms(key, address)}
    hits = [
        (one.submission, number)
        for one in found
        for number, recipient in enumerate(one.recipients, 1)
        if bare(recipient) in named
    ]
    if not hits and len(found) == 1 and how is How.MESSAGE_ID:  # envelope ids may be used again, for others
        [only] = found
        if len(only.recipients) > 1:
            return Match(how, submission=only.submission)
        hits = [(only.submission, 1)]
    if len(hits) != 1:  # nobody knows which
        return None
    [(submission, number)] = hits
    return Match(how, None, f"{submission}-{number}", submission)


def with_address(known: Delivery, feedback: Feedback, key: bytes | None) -> Delivery:
    """A delivery whose recipient is recorded hashed, with the address, where what came back names it."""
    if not key or "@" in known.recipient:
        return known
    named = (address for address in _about(feedback) if hashed(key, address) == known.recipient)
    return replace(known, recipient=next(named, known.recipient))


def _about(feedback: Feedback) -> Iterator[str]:
    """Addresses of whom it may be about."""
    texts = [feedback.sender, *feedback.about, *feedback.original.fields.get("to", ())]
    for recipient in feedback.recipients:
        texts += [recipient.recipient, recipient.original_recipient]
    return (address for text in texts if "@" in (address := _address(text)))


def _address(text: str) -> str:
    """The address in a field or in angle brackets, in lower case."""
    return bare(text.rpartition("<")[2].partition(">")[0])
