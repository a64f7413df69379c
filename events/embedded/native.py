"""Native blocks as clients of newer protocol versions read them.

The engine writes Native as for protocol version 0. clickhouse-go, and with it Grafana, always asks for a
newer one: eight bytes of block info before each block, and behind each column's type a byte that says
whether it is serialised in a special way. To know where a column ends takes knowledge of every type:
clickhouse-connect has it, and this is the only place that reaches into it.
"""

from types import SimpleNamespace

from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.buffer import ResponseBuffer
from clickhouse_connect.driver.query import QueryContext

#: From here on columns say how they are serialised. Older ones are answered as version 0,
#: which clickhouse-connect finds out by itself.
CUSTOM_SERIALIZATION = 54454
#: Not overflowing, no bucket.
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


def with_block_info(data: bytes) -> bytes:
    """Blocks of version 0 as blocks of ``CUSTOM_SERIALIZATION``."""
    source = ResponseBuffer(SimpleNamespace(gen=iter(())))
    source.buffer, source.buf_sz = data, len(data)
    context = QueryContext()
    parts: list[bytes] = []
    while source.buf_loc < len(data):
        start = source.buf_loc
        parts.append(_BLOCK_INFO)
        columns, rows = source.read_leb128(), source.read_leb128()
        for _ in range(columns):
            name, type_name = source.read_leb128_str(), source.read_leb128_str()
            parts += data[start : source.buf_loc], b"\x00"
            start = source.buf_loc
            if rows:
                context.start_column(name)
                get_from_name(type_name).read_column(source, rows, context)
        parts.append(data[start : source.buf_loc])
    return b"".join(parts)
