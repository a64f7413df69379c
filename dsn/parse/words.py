"""Bounces that follow no standard: whom they are about and why, out of their words.

No format of one mail system is known here, but what they have in common: the recipient stands at the beginning of a
line, after RCPT TO, after a word such as "to" or "address", or in the server's reply; what was said follows it; the
original comes last. The words themselves are in conf/feedback.toml.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from common.classify.quoted import phase_of
from dsn.parse import reply
from dsn.parse.fields import ADDRESS, address_of
from dsn.parse.mentions import MAX_RECIPIENTS, Mention, Place, best, lines_of, mentions, programs
from dsn.parse.result import Recipient

#: Lines behind an address that may tell why.
_BEHIND = 40
#: A command of a transcript, and the reply to it. Some show only what was refused, as sendmail does, some all there
#: was; behind several commands nobody knows which of them a reply is to.
_SENT_RCPT = re.compile(r"\s*>>> ?RCPT TO:", re.IGNORECASE)
_REFUSED = re.compile(r"\s*<<< ?5\d\d[ -]")


def recipients(words: str, failed_header: Sequence[str], not_these: frozenset[str]) -> list[Recipient]:
    """Who did not get it, and what is said of that.

    ``failed_header``: addresses of X-Failed-Recipients, which are taken where no line begins with one;
    ``not_these``: the addresses of whom the report is for, in lower case, taken only where there is nobody else.
    """
    lines = lines_of(words)
    found = best(list(mentions(lines)), not_these)
    if failed_header and not (found and found[0].place == Place.LEADS and found[0].address.lower() not in not_these):
        at = {mention.address.lower(): mention for mention in reversed(found)}
        found = [at.get(one.lower(), Mention(one, Place.ANYWHERE, -1)) for one in failed_header[:MAX_RECIPIENTS]]
    why = _Why(lines, found)
    told = []
    for mention in found:
        text = why.of(mention)
        said = reply.codes(text)
        told.append(
            Recipient(
                recipient=mention.address, action="failed", original_recipient=mention.alias,
                code=said.code, enhanced_code=said.enhanced, text=text, phase=why.phase(mention),
            )
        )  # fmt: skip
    return told


class Told(NamedTuple):
    """What the words say of an address."""

    text: str
    phase: str
    target: str
    """What it led to; ``""`` for itself, and where that is no address."""


def told_of(text: str, wanted: Sequence[str]) -> dict[str, Told]:
    """What is said of these addresses, by their small letters; only of those that the words name.

    Of one that led to several others nobody knows which of them a report means.
    """
    lines = lines_of(text)
    known = {address.lower() for address in wanted}
    found: dict[str, Mention] = {}
    targets: dict[str, set[str]] = {}
    others = []
    for mention in mentions(lines):
        name, alias = mention.address.lower(), mention.alias.lower()
        if name in known:
            found.setdefault(name, mention)
        if alias in known:
            found.setdefault(alias, mention)
            targets.setdefault(alias, set()).add(name)
        elif name not in known and mention.place == Place.LEADS:
            others.append(mention)
    for mention in programs(lines):
        if mention.address.lower() in known:
            found.setdefault(mention.address.lower(), mention)
    clear = {name: mention for name, mention in found.items() if len(targets.get(name, ())) < 2}
    why = _Why(lines, [*found.values(), *others])
    return {
        name: Told(why.of(mention), why.phase(mention), mention.address if name in targets else "")
        for name, mention in clear.items()
    }


def _refused(lines: Sequence[str]) -> Iterator[str]:
    """The RCPT commands of a transcript that were refused for good."""
    for before, command, answer in zip(["", *lines], lines, lines[1:], strict=False):
        if _SENT_RCPT.match(command) and _REFUSED.match(answer) and ">>>" not in before:
            yield command


class _Why:
    """What is said of each recipient."""

    def __init__(self, lines: Sequence[str], mentions: Sequence[Mention]) -> None:
        self._lines = lines
        self._starts = sorted({mention.line for mention in mentions})
        #: Lines in which a reply begins, and where; those that name an address.
        self._replies = {number: at for number, line in enumerate(lines) if (at := reply.begins(line)) >= 0}
        self._numbers = list(self._replies)
        self._naming: dict[str, int] = {}
        for number in self._numbers:
            for match in ADDRESS.finditer(lines[number]):
                self._naming.setdefault(address_of(match).lower(), number)
        self._in_rcpt = {address_of(match).lower() for line in _refused(lines) for match in ADDRESS.finditer(line)}
        self._only_one = len(mentions) == 1
        self._all = reply.one_line("\n".join(lines))

    def of(self, mention: Mention) -> str:
        """A server's reply behind the address, one that names it, any if nobody else is told of; else the words."""
        start = max(mention.line, 0)
        end = self._end(start)
        after = bisect_left(self._numbers, start)
        number = self._numbers[after] if after < len(self._numbers) else end
        if number >= end:
            number = self._naming.get(mention.address.lower(), -1)
        if number < 0 and self._only_one and self._numbers:
            number = self._numbers[0]
        if number >= 0:
            last = end if start <= number < end else self._end(number)
            return reply.from_lines(self._lines[number : min(last, number + reply.LINES)], self._replies[number])
        return self._explanation(mention, end)

    def phase(self, mention: Mention) -> str:
        """When it was said: as a transcript has it, that names the address in RCPT TO, or the words behind it."""
        if mention.address.lower() in self._in_rcpt:
            return "rcpt"
        if mention.line < 0 and not self._only_one:
            return ""
        start = max(mention.line, 0)
        end = min(self._end(start), start + _BEHIND)
        if start and start in self._replies and self._lines[start - 1].rstrip().endswith(":"):
            start -= 1  # the words that lead in the reply that names it
        behind = " ".join(" ".join(line for line in self._lines[start:end] if ">>>" not in line).split())
        return phase_of(behind)

    def _end(self, line: int) -> int:
        """Where the words on what stands at a line end: where the next recipient is named."""
        following = bisect_right(self._starts, line)
        return self._starts[following] if following < len(self._starts) else len(self._lines)

    def _explanation(self, mention: Mention, end: int) -> str:
        """The words behind the address, or all where there are none."""
        if mention.line < 0:
            return self._all
        line = self._lines[mention.line]
        if mention.place <= Place.RCPT or mention.place == Place.LABEL:
            line = line[line.lower().find(mention.address.lower()) + len(mention.address) :].lstrip(">\"')]:; \t")
        told = reply.one_line("\n".join([line, *self._lines[mention.line + 1 : min(end, mention.line + _BEHIND)]]))
        return told if any(letter.isalpha() for letter in told) else self._all
