"""What the user who may only read may ask. No I/O.

``readonly = 1`` keeps the engine from changing rows, and from most that reaches out of it. What it lets pass is refused
here, by what stands in the text wherever it stands: a reading of the grammar of our own could be told something else
than the engine's.
"""

import re
from collections.abc import Mapping

from events.embedded.engine import DEFAULTS, EngineError

_BEFORE = re.compile(rb"(?:\s|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
_FIRST = re.compile(rb"\(|(?:SELECT|WITH|FROM|SHOW|EXISTS|EXPLAIN|DESC|DESCRIBE)\b", re.IGNORECASE)
#: Files are written, queries of others ended, hosts connected to.
_PASSES = re.compile(rb"\b(?:OUTFILE|INFILE|KILL)\b|hasColumnInTable", re.IGNORECASE)
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})", re.IGNORECASE)
_LONGEST = "max_execution_time"
#: Others name files, or lift the limits.
_SETTINGS = {"date_time_output_format", "output_format_json_quote_64bit_integers", "max_result_rows"}


def check(text: bytes) -> None:
    """Raises EngineError for a statement that does more than read tables."""
    text = _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), text)
    text = text[_BEFORE.match(text).end() :].rstrip(b"; \t\r\n")  # type: ignore[union-attr]
    if not (first := _FIRST.match(text)):
        raise _refused("may only read")
    if b";" in text:
        raise _refused("may only ask one thing at a time; a semicolon within a text is char(59)")
    if found := _PASSES.search(text):
        raise _refused(f"may only read, so {found[0].decode()} must not stand in a query")
    if first[0].upper().startswith(b"DESC") and b"(" in text:  # of a file it would tell the first line
        raise _refused("may only describe tables")


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """Those that are in force of those that came by URL. Raises EngineError."""
    found = dict(given)
    most = DEFAULTS[_LONGEST]
    asked = found.pop(_LONGEST, most)
    if wrong := sorted(found.keys() - _SETTINGS):
        raise EngineError.make(164, "READONLY", f"Cannot modify '{wrong[0]}' setting in readonly mode")
    shorter = asked.isascii() and asked.isdigit() and 0 < int(asked[:9]) < int(most)
    return found | ({_LONGEST: asked} if shorter else {})


def _refused(why: str) -> EngineError:
    return EngineError.make(164, "READONLY", f"reader: {why}")
