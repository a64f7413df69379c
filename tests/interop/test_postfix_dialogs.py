"""The dialogues marked ``# standard``, held with Debian's Postfix: that they are standard is its word, not ours."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from dialog_support import DIALOGS, Dialog
from packages_support import NEEDS_POSTFIX

from bench import postfix
from bench.measuring import workplace
from bench.relays import quiet_port

pytestmark = [
    NEEDS_POSTFIX,
    pytest.mark.asyncio(loop_scope="module"),
]
_STANDARD = [file for file in DIALOGS if Dialog.read(file).standard]
# Nothing leaves the machine, not even a question to DNS; and what is a matter of taste is to ours.
_SETTINGS = """\
smtpd_peername_lookup = no
default_transport = smtp:[127.0.0.1]:{mx_port}
hopcount_limit = 100
smtpd_helo_required = yes
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000
message_size_limit = 50000000
smtpd_recipient_limit = 1000
smtpd_relay_restrictions = permit_mynetworks, reject
strict_rfc821_envelopes = yes
"""


class Client:
    """A connection to Postfix."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def line(self) -> str:
        async with asyncio.timeout(20):
            return (await self._reader.readline()).decode().removesuffix("\r\n")

    async def reply(self) -> str:
        while (line := await self.line())[3:4] == "-":
            pass
        return line

    def close(self) -> None:
        self._writer.close()


class Server(postfix.Postfix):
    """Takes everything and sends nothing."""

    def _prepare(self) -> None:
        super()._prepare()
        with (self.folder / "etc/main.cf").open("a") as file:
            file.write(_SETTINGS.format(mx_port=self.mx_port))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    with workplace() as folder:
        server = Server(folder, quiet_port(), folder / "none")
        try:
            await server.start()
            yield server.port
        finally:
            await server.stop()


@pytest.mark.parametrize("file", _STANDARD, ids=lambda file: file.stem)
async def test_dialog(file: Path, port: int) -> None:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        await Dialog.read(file).hold(client, codes=True)
    finally:
        client.close()
