"""What the front must know of a statement: where an INSERT's rows begin, what comes back. No I/O."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

#: Statements are this long at most (ClickHouse's max_query_size); the rows of an INSERT are not counted.
MAX_QUERY = 262_144
_TOKEN = re.compile(
    rb"""--[^\n]* | /\*.*?\*/
      | '(?:[^'\\]|\\.)*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*"
      | (?P<word> \w+ ) | [()]""",
    re.DOTALL | re.VERBOSE,
)
_BEFORE_DATA = re.compile(rb"[ \t\r]*\n?")
_DEFINING = {b"CREATE", b"ALTER"}
_RETURNING = {b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"FROM"}

#: Upper-case word, start, end.
_Word = tuple[bytes, int, int]


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows follow: ``<target> [<settings>] FORMAT <format>``, rows from ``data`` on."""

    target: bytes
    settings: bytes
    format: str
    """``""`` when the statement does not say."""
    data: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement looked at."""

    insert: Insert | None = None
    returning: bool = False
    """It gives rows back, be they none."""
    defining: bool = False
    """It writes the definition of a database or table."""
    format: str = ""
    """Of the FORMAT clause."""
    names_file: bool = False
    """It says INFILE or OUTFILE, files of the server, which ClickHouse refuses over HTTP."""


def parse(text: bytes) -> Parsed:
    """Look at a statement; raises nothing, the engine judges the syntax."""
    words = _words(text)
    first = next(words, (b"", 0, 0))[0]
    if first == b"INSERT" and (insert := _insert(text, words)):
        return Parsed(insert)
    all_words = list(_words(text))
    formats = [text[start:end] for (word, *_), (_, start, end) in pairwise(all_words) if word == b"FORMAT"]
    names_file = any(word in (b"INFILE", b"OUTFILE") for word, *_ in all_words)
    format = b"".join(formats[-1:]).decode(errors="replace")
    return Parsed(None, first in _RETURNING, first in _DEFINING, format, names_file)


def _insert(text: bytes, words: Iterator[_Word]) -> Insert | None:
    settings = len(text)
    for word, start, end in words:
        if word in (b"SELECT", b"WITH", b"FROM"):
            return None
        if word == b"SETTINGS":
            settings = start
        if word == b"VALUES":
            return Insert(text[: min(settings, start)], text[settings:start], "Values", end)
        if word == b"FORMAT":
            _, name, data = next(words, (b"", end, end))
            match = _BEFORE_DATA.match(text, data)
            format = text[name:data].decode(errors="replace")
            return Insert(text[: min(settings, start)], text[settings:start], format, match.end() if match else data)
    return Insert(text[:settings], text[settings:], "", len(text))


def _words(text: bytes) -> Iterator[_Word]:
    """The words outside of parentheses, quotes and comments."""
    depth = 0
    for match in _TOKEN.finditer(text):
        if match["word"]:
            if not depth:
                yield match["word"].upper(), match.start(), match.end()
        elif match[0] in (b"(", b")"):
            depth += 1 if match[0] == b"(" else -1
