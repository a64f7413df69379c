"""Bounces without a machine-readable part: whether a mail is one, by what its sender, subject and words are like."""

import re
from dataclasses import replace
from typing import NamedTuple

from dsn.parse import original, reply, words
from dsn.parse.fields import addresses, decoded, first
from dsn.parse.mime import Part
from dsn.parse.result import Original, Recipient
from dsn.parse.rules import group

#: Characters of the words that are read.
TEXT = 64_000
_FAILED, _DELAYED = "failed", "delayed"
#: Two of three: who writes, of what, in which words; or one less, and signs besides.
_ENOUGH = 4
#: A person's answer to a subject.
_ANSWER = re.compile(r"\s*(?:re|aw|sv|antw|vs|rv|odp|fwd?|wg|tr)\s?:", re.IGNORECASE)
#: Behind which the words of a report are hardly found any more.
_SOON = 4000


class Bounce(NamedTuple):
    """What a bounce says."""

    rule: str
    recipients: tuple[Recipient, ...]


class Words(NamedTuple):
    """What a mail says in letters, without what came back behind it."""

    text: str
    returned: str


def text_of(parts: list[Part]) -> Words:
    """The words in front of a returned original: plain ones, or where there are none those of HTML."""
    before: list[Part] = []
    for number, part in enumerate(parts):
        if (number and original.is_returned(part)) or part.type in original.TYPES:
            break
        before.append(part)
    for type_ in ("text/plain", "text/html"):
        text = "\n\n".join(part.text for part in before if part.type == type_ and part.text.strip())
        if text:
            return Words(*original.split(text[:TEXT]))
    return Words("", "")


def read(root: Part, said: Words, returned: Original) -> Bounce | None:
    """What a mail says that is a bounce; None of another."""
    told = outcome(root, said.text)
    if not told:
        return None
    header = [one for value in root.fields.get("x-failed-recipients", ()) for one in addresses(value)]
    not_these = frozenset(one.lower() for one in _of_sender(root, returned))
    found = words.recipients(said.text, header, not_these)
    if not found and len(to := addresses(first(returned.fields, "to"))) == 1:
        text = reply.one_line(said.text)
        found = [Recipient(to[0], "failed", "", "", *reply.codes(text), text)]
    if told == _DELAYED:  # what a server refused for good is not
        found = [one if one.code >= 500 else replace(one, action="delayed") for one in found]
    return Bounce("words" if said.text else "header", tuple(found)) if found else None


def outcome(root: Part, text: str) -> str:
    """What a mail tells that a mail system has written: failed, delayed; ``""`` where it is nothing of the kind."""
    start = text[:_SOON]
    subject = decoded(first(root.fields, "subject"))
    failed, delayed = group("failed"), group("delayed")
    from_daemon = bool(group("daemon").search("from", decoded(first(root.fields, "from"))))
    certain = "x-failed-recipients" in root.fields
    if not (certain or from_daemon) and _answers_by_itself(root, subject):
        return ""
    delay = bool(delayed.search("subject", subject) or delayed.search("words", start))
    weight = (
        2 * from_daemon
        + 2 * (not _ANSWER.match(subject) and bool(failed.search("subject", subject)))
        + 2 * bool(failed.search("words", start))
        + (first(root.fields, "return-path") == "<>")
        + any(reply.begins(line) >= 0 for line in start.split("\n"))
    )
    if not (certain or weight >= _ENOUGH or (delay and from_daemon)):
        return ""
    return _DELAYED if delay and not group("final").search("words", start) else _FAILED


def _answers_by_itself(root: Part, subject: str) -> bool:
    """A vacation has no return path either (RFC 3834 3.3), and may tell of what cannot be reached."""
    rules = group("autoreply")
    return bool(rules.search("subject", subject) or rules.in_headers(root.fields))


def _of_sender(root: Part, returned: Original) -> list[str]:
    """Addresses of whom a report is for, and of who wrote it."""
    names = [(root.fields, ("to", "delivered-to", "x-original-to", "from"))]
    names += [(returned.fields, ("from", "return-path", "sender", "reply-to"))]
    values = [value for fields, several in names for name in several for value in fields.get(name, ())]
    return [one for value in values for one in addresses(value)]
