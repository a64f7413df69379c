"""Native blocks as clients of newer protocol versions read them.

The engine writes Native as for protocol version 0. clickhouse-go, and with it Grafana, always asks for a
newer one: eight bytes of block info before each block, and behind each column's type a byte that says
whether it is serialised in a special way. To put that byte there one must know where a column ends.
"""

import re
from functools import lru_cache

from events.embedded.engine import EngineError

#: From this version on columns say how they are serialised. Older ones are answered as version 0,
#: which clickhouse-connect finds out by itself.
CUSTOM_SERIALIZATION = 54454
#: Not overflowing, no bucket.
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_SIZES = {
    name: size
    for size, names in {
        1: "UInt8 Int8 Bool Enum8 Nothing",
        2: "UInt16 Int16 Enum16 Date",
        4: "UInt32 Int32 Float32 DateTime Date32 IPv4 Time",
        8: "UInt64 Int64 Float64 DateTime64 Time64",
        16: "UInt128 Int128 UUID IPv6",
        32: "UInt256 Int256",
    }.items()
    for name in names.split()
}
#: Brackets and commas that are not within a quoted name, and what lies between them.
_PART = re.compile(r"""(?:'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[^(),'`])+|[(),]""")

#: The name of an element, as in Tuple(name String).
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) (?=\w)")


@lru_cache(1024)
def _parse(type: str) -> tuple[str, tuple[str, ...]]:
    """``Map(String, UInt8)`` as name and arguments."""
    name, _, inner = type.partition("(")
    arguments, depth = [""], 0
    for part in _PART.findall(inner[:-1]):
        if part == "," and not depth:
            arguments.append("")
            continue
        depth += {"(": 1, ")": -1}.get(part, 0)
        arguments[-1] += part
    return name.strip(), tuple(argument.strip() for argument in arguments) if inner else ()


def _elements(type: str) -> list[str] | None:
    """What a type is made of, one after the other; None for one that is no container."""
    name, arguments = _parse(type)
    if name in ("Tuple", "Nested"):
        return [_NAMED.sub("", argument, count=1) for argument in arguments]
    if name in ("Array", "Map", "Nullable"):
        return list(arguments)
    return list(arguments[-1:]) if name == "SimpleAggregateFunction" else None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def text(self) -> str:
        length = self.varint()
        self.at += length
        return self.data[self.at - length : self.at].decode(errors="replace")

    def number(self) -> int:
        self.at += 8
        return int.from_bytes(self.data[self.at - 8 : self.at], "little")

    def skip_prefix(self, type: str) -> None:
        """Every LowCardinality within begins with its version, before all data."""
        if _parse(type)[0] == "LowCardinality":
            self.at += 8
        for element in _elements(type) or ():
            self.skip_prefix(element)

    def skip(self, type: str, rows: int) -> None:
        name, arguments = _parse(type)
        if name in ("Array", "Map", "Nested"):
            self.at += 8 * rows  # where each row's elements end
            rows = int.from_bytes(self.data[self.at - 8 : self.at], "little") if rows else 0
        elif name == "Nullable":
            self.at += rows
        if (elements := _elements(type)) is not None:
            for element in elements:
                self.skip(element, rows)
        elif name == "String":
            for _ in range(rows):
                length = self.varint()
                self.at += length
        elif name == "LowCardinality":
            self.skip_dictionary(arguments[0], rows)
        else:
            self.at += rows * _size(name, arguments)

    def skip_dictionary(self, type: str, rows: int) -> None:
        if rows:
            width = 1 << (self.number() & 0xFF)
            keys = self.number()
            name, arguments = _parse(type)
            self.skip(arguments[0] if name == "Nullable" else type, keys)
            self.number()  # rows again
            self.at += rows * width


def _size(name: str, arguments: tuple[str, ...]) -> int:
    if name == "FixedString":
        return int(arguments[0])
    if name == "Decimal":
        return next(size for digits, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if int(arguments[0]) <= digits)
    if name.startswith("Interval"):
        return 8
    if name not in _SIZES:
        raise EngineError.make(48, "NOT_IMPLEMENTED", f"Native has no form for {name} here; cast the column to String")
    return _SIZES[name]


def with_block_info(data: bytes) -> bytes:
    """Blocks of version 0 as blocks of ``CUSTOM_SERIALIZATION``. Raises EngineError for exotic types."""
    reader = _Reader(data)
    parts: list[bytes] = []
    while reader.at < len(data):
        start = reader.at
        parts.append(_BLOCK_INFO)
        columns, rows = reader.varint(), reader.varint()
        for _ in range(columns):
            _, type = reader.text(), reader.text()
            parts += data[start : reader.at], b"\x00"
            start = reader.at
            if rows:
                reader.skip_prefix(type)
                reader.skip(type, rows)
        parts.append(data[start : reader.at])
    return b"".join(parts)
