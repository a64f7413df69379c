"""Addresses in the words of a bounce that may be the recipient's, and where they stand."""

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from dsn.parse import reply
from dsn.parse.fields import ADDRESS, address_of
from dsn.parse.rules import group

#: Lines and characters of a line that are looked at; addresses in them; recipients that are reported.
LINES, LINE, MENTIONS, MAX_RECIPIENTS = 4000, 1000, 3000, 1000
#: Lines from an address on that may tell what led to it.
_ALIAS_BEHIND = 4


class Place(IntEnum):
    """Where an address stands: the earlier ones say more surely that it is the recipient."""

    LEADS = 1
    """The line begins with it."""
    RCPT = 2
    """In the SMTP command, or in front of what sendmail's transcript says of it."""
    PHRASE = 3
    """After a word that tells."""
    REPLY = 4
    """In what the server said."""
    LABEL = 5
    """In a field To of what is quoted."""
    ANYWHERE = 6


class Mention(NamedTuple):
    """An address in the words."""

    address: str
    place: Place
    line: int
    alias: str = ""
    """What the mail was addressed to, where the report tells that it led to ``address``."""


_MARKS = " \t<\"'*>|•·-("
#: What may follow an address that begins a line: an end, a mark, an explanation.
_AFTER = re.compile(r"""[>"')\]]*[ \t]*(?:$|[:;,(\[=]|\.\.\.|--?[ >]|on )""")
_SECOND = re.compile(r"[ \t]+<([^<>\s@]{1,100}@[^<>\s@]{1,255})>")
_RCPT = re.compile(r"RCPT(?: TO)?:? ?<?$", re.IGNORECASE)
_TRANSCRIPT = re.compile(r"[\s<>]*[45]\d\d[- ](?:[45]\.\d{1,3}\.\d{1,3} )?<?$")
_LABEL = re.compile(r"^\W*(?:To|Cc)\s?:", re.IGNORECASE)
#: Whose addresses are not the recipient's.
_NOT = re.compile(
    r"(?:\bfrom|\bsender|\breply-to|\breturn-path|\bby|mailto|contact|message-id|in-reply-to|references|https?://\S*"
    r"|\bF=|\bsubject|\bhelo|envelope-to|delivered-to)\W*$",
    re.IGNORECASE,
)
_DAEMON = re.compile(r"(?:mailer-?daemon|post-?_?master|abuse|no-?reply|support|help-?desk)@", re.IGNORECASE)
_ALIAS = re.compile(r"\b(?:generated (?:from|by)|expanded from):? <?([^\s<>()]{1,100}@[^\s<>()]{1,255})", re.IGNORECASE)


def lines_of(words: str) -> list[str]:
    """The lines that are looked at."""
    return [line[:LINE] for line in words.split("\n", LINES)[:LINES]]


def mentions(lines: Sequence[str]) -> Iterator[Mention]:
    """Every address that may be a recipient's, where the words that come before it do not tell otherwise."""
    return islice(_mentions(lines), MENTIONS)


def _mentions(lines: Sequence[str]) -> Iterator[Mention]:
    for number, line in enumerate(lines):
        if "@" not in line:
            continue
        last = 0
        for match in ADDRESS.finditer(line):
            before, address = line[last : match.start()], address_of(match)
            last = match.end()
            if _NOT.search(before):
                continue
            place = _place(lines, number, before, match)
            if place == Place.LEADS and (second := _SECOND.match(line, match.end())):  # a name that is an address
                address = second[1]
            alias = _alias(lines, number, address)
            yield Mention(address, place, number, alias)


def _place(lines: Sequence[str], number: int, before: str, match: re.Match[str]) -> Place:
    line = lines[number]
    if not before.strip(_MARKS) and not line[: match.start()].strip(_MARKS):
        above = lines[number - 1].lstrip(_MARKS) if number else ""
        begins = not above or ADDRESS.match(above) or line[: match.start()].strip()  # and is no paragraph's
        if begins or _AFTER.match(line, match.end()):
            return Place.LEADS
    if _RCPT.search(before) or _TRANSCRIPT.match(line[: match.start()]):
        return Place.RCPT
    if _LABEL.match(line):
        return Place.LABEL
    if group("recipient").search("words", before):
        return Place.PHRASE
    if reply.begins(line[: match.start()]) >= 0:
        return Place.REPLY
    return Place.ANYWHERE


def _alias(lines: Sequence[str], number: int, address: str) -> str:
    for behind, line in enumerate(lines[number : number + _ALIAS_BEHIND]):
        if behind and (not line.strip() or ADDRESS.match(line.lstrip(_MARKS))):
            break
        if (match := _ALIAS.search(line)) and match[1].lower() != address.lower():
            return match[1]
    return ""


def programs(lines: Sequence[str]) -> Iterator[Mention]:
    """Addresses that led to what is no address, a file or a program, with the line that names it."""
    for number, line in enumerate(lines):
        if match := _ALIAS.search(line):
            above = range(number - 1, max(number - _ALIAS_BEHIND, -1), -1)
            head = next((one for one in above if _indent(lines[one]) < _indent(line)), number)
            if head < number and lines[head].strip() and "@" not in lines[head]:
                yield Mention(match[1], Place.ANYWHERE, head)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def best(mentions: list[Mention], not_these: frozenset[str]) -> list[Mention]:
    """Those at the surest place, each address once."""
    others = [
        mention
        for mention in mentions
        if mention.address.lower() not in not_these and not _DAEMON.match(mention.address)
    ]
    chosen = others or [mention for mention in mentions if mention.place <= Place.REPLY]
    if not chosen:
        return []
    surest = min(mention.place for mention in chosen)
    each: dict[str, Mention] = {}
    for mention in chosen:
        if mention.place == surest:
            each.setdefault(mention.address.lower(), mention)
    return list(each.values())[:MAX_RECIPIENTS]
