"""The bench's sink counts what came, however the bytes were cut."""

import asyncio
import itertools
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.sink import Session, Sinks, read_counts

SIGNED = b"DKIM-Signature: v=1\r\nSubject: x\r\n\r\n.. dots\r\n"
PLAIN = b"Subject: y\r\n\r\n"
DIALOGUE = (
    b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nDATA\r\n%s.\r\n"
    b"mail from:<>\r\nDATA\r\n%s.\r\nDATA\r\n.\r\nHUH\r\nQUIT\r\n"
)
CODES = b"220 250 250 250 354 250 250 354 250 354 250 500 221".split()


class Written(asyncio.Transport):
    """Keeps what a session answers."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data


@given(cuts=st.lists(st.integers(0, 200)))
def test_any_chunks(cuts: list[int]) -> None:
    stream = DIALOGUE % (SIGNED, PLAIN)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    with tempfile.TemporaryDirectory() as folder:
        sinks, transport = Sinks(Path(folder)), Written()
        session = Session(sinks)
        session.connection_made(transport)
        for start, end in itertools.pairwise(places):
            session.data_received(stream[start:end])
        counts = read_counts(Path(folder))
        assert (counts.mails, counts.signed, counts.connections) == (3, 1, 1)
        assert (Path(folder) / "sample").read_bytes() == SIGNED
    codes = [line[:3] for line in transport.data.splitlines() if line[3:4] == b" "]
    assert codes == CODES
