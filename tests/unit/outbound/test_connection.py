import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from common.policies.policy import Policy
from master.demo.certificates import self_signed, server_context
from master.demo.sink import EXTENSIONS, Sink
from master.demo.sink_script import Phase, Rule
from outbound import connection as module
from outbound.connection import Connection, Login
from outbound.failure import DeliveryFailure, NotNowError
from outbound.routing import Target
from outbound.smtp import Envelope

MESSAGE = b"Subject: hello\r\n\r\n.dot\r\n..\r\n"
ENVELOPE = Envelope("a@a.test", "b@b.test")
BARE = ["SIZE 1000"]
TLS = [*EXTENSIONS, "STARTTLS"]
Dialogue = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def open_to(server: Sink | Target, username: str = "", password: str = "", **policy: Any) -> Connection:
    target = Target("mx.test", server.host, server.port) if isinstance(server, Sink) else server
    policy = {"command_timeout": 10.0, **policy}
    return await Connection.open(target, "us.test", Policy(**policy), Login(username, password), gate)


async def gate() -> None:
    """Open."""


async def failed(attempt: Awaitable[Any]) -> DeliveryFailure:
    with pytest.raises(DeliveryFailure) as caught:
        await attempt
    assert caught.value.host == "mx.test"
    assert caught.value.address.startswith("127.")
    return caught.value


@asynccontextmanager
async def peer(dialogue: Dialogue) -> AsyncIterator[Target]:
    """A server that talks as ``dialogue`` does to its one client, then closes."""
    over = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await dialogue(reader, writer)
        finally:
            writer.close()
            over.set()

    server = await asyncio.start_server(talk, "127.0.0.3", 0)
    async with server:
        yield Target("mx.test", *server.sockets[0].getsockname()[:2])
        await over.wait()


async def until_unusable(connection: Connection) -> None:
    while connection.usable:
        await asyncio.sleep(0)


def script(*lines: bytes) -> Dialogue:
    """Each line is said after one read, the first at once."""

    async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            await reader.read(65536)

    return dialogue


@pytest.fixture(params=[EXTENSIONS, BARE, TLS], ids=["pipelining", "bare", "tls"])
async def sink(request: pytest.FixtureRequest) -> AsyncIterator[Sink]:
    async with Sink(extensions=request.param) as sink:
        yield sink


class TestDelivering:
    async def test_many_messages(self, sink: Sink) -> None:
        connection = await open_to(sink)
        for _ in range(3):
            accepted = await connection.deliver(ENVELOPE, MESSAGE)
            assert (accepted.code, accepted.enhanced, accepted.text) == (250, "2.0.0", "Ok: taken")
            assert connection.usable
        await connection.quit()
        assert not connection.usable
        await sink.wait_until(lambda: not sink.open)
        assert sink.connections == 1
        assert [mail.content for mail in sink.received] == [MESSAGE] * 3
        mail = sink.received[0]
        assert (mail.sender, mail.recipients, mail.ehlo) == ("a@a.test", ("b@b.test",), "us.test")
        assert mail.tls == connection.tls_version
        assert bool(mail.tls) == bool(connection.tls_cipher) == ("STARTTLS" in sink.extensions)
        assert sink.resets == 0

    async def test_a_large_message(self, sink: Sink) -> None:
        sink.extensions = (*sink.extensions, "SIZE 100000000") if "PIPELINING" in sink.extensions else ()
        message = b"Subject: large\r\n\r\n" + b"x" * 76 + b"\r\n.\r\n" * 1_000_000
        connection = await open_to(sink)
        await connection.deliver(ENVELOPE, message)
        connection.abort()
        assert sink.received[0].content == message

    async def test_a_message_too_large_costs_the_connection_nothing(self) -> None:
        async with Sink(extensions=BARE) as sink:
            connection = await open_to(sink)
            failure = await failed(connection.deliver(ENVELOPE, b"x" * 1001))
            assert (failure.permanent, failure.enhanced) == (True, "5.3.4")
            await connection.deliver(ENVELOPE, MESSAGE)
            connection.abort()

    async def test_helo_where_ehlo_is_unknown(self) -> None:
        async with Sink(Rule(phase="ehlo", reply="502 What?")) as sink:
            connection = await open_to(sink)
            await connection.deliver(ENVELOPE, MESSAGE)
            assert sink.received[0].parameters == ()
            connection.abort()

    async def test_a_cancelled_delivery_closes(self) -> None:
        async with Sink(Rule(phase="dot", do="hang")) as sink:
            connection = await open_to(sink)
            task = asyncio.create_task(connection.deliver(ENVELOPE, MESSAGE))
            await sink.wait_until(lambda: sink.transactions[1] == 1)
            task.cancel()
            await asyncio.wait([task])
            assert not connection.usable
            await sink.wait_until(lambda: not sink.open)


PHASES: list[Phase] = ["mail", "rcpt", "data", "dot"]


class TestRefusals:
    @pytest.mark.parametrize("phase", PHASES)
    @pytest.mark.parametrize("reply", ["450 4.2.0 Later", "550 5.1.1 Never"])
    async def test_a_message_refused_leaves_the_connection(self, sink: Sink, phase: Phase, reply: str) -> None:
        sink.rules = [Rule(phase=phase, reply=reply, times=1)]
        connection = await open_to(sink)
        failure = await failed(connection.deliver(ENVELOPE, MESSAGE))
        assert f"{failure.code} {failure.enhanced} {failure.text}" == reply
        assert (failure.permanent, failure.phase, failure.reason) == (reply[0] == "5", phase, "rejected")
        assert connection.usable
        await connection.deliver(ENVELOPE, MESSAGE)
        assert (sink.mails, sink.connections, sink.resets) == (1, 1, phase != "dot")
        connection.abort()

    @pytest.mark.parametrize("phase", PHASES)
    @pytest.mark.parametrize(
        ("rule", "reason"),
        [
            ({"reply": "421 4.3.2 Bye"}, "rejected"),
            ({"do": "drop"}, "closed"),
            ({"do": "garbage"}, "protocol"),
            ({"do": "hang"}, "timeout"),
        ],
        ids=["421", "drop", "garbage", "hang"],
    )
    async def test_trouble_closes(self, sink: Sink, phase: Phase, rule: dict[str, Any], reason: str) -> None:
        sink.rules = [Rule(phase=phase, **rule)]
        connection = await open_to(sink, command_timeout=0.2 if reason == "timeout" else 10.0)
        failure = await failed(connection.deliver(ENVELOPE, MESSAGE))
        assert (failure.permanent, failure.phase, failure.reason) == (False, phase, reason)
        assert failure.code in (421, 451)
        assert not connection.usable
        await sink.wait_until(lambda: not sink.open)
        assert ("unknown" in failure.text) == (phase == "dot" and reason != "rejected")

    @pytest.mark.parametrize(("phase", "reply"), [("mail", "354"), ("rcpt", "354"), ("data", "250"), ("dot", "354")])
    async def test_an_answer_out_of_place_closes(self, sink: Sink, phase: Phase, reply: str) -> None:
        sink.rules = [Rule(phase=phase, reply=f"{reply} Really")]
        connection = await open_to(sink)
        failure = await failed(connection.deliver(ENVELOPE, MESSAGE))
        assert (failure.permanent, failure.phase, failure.reason) == (False, phase, "protocol")
        assert not connection.usable

    async def test_no_message_follows_a_refused_recipient(self) -> None:
        """The server lets DATA through all the same (RFC 2920 3.1)."""
        seen = bytearray()

        async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for line in (b"220 mx\r\n", b"250-mx\r\n250 PIPELINING\r\n", b"250 Ok\r\n550 5.1.1 No\r\n354 Go\r\n"):
                writer.write(line)
                seen[:] = await reader.read(65536)

        async with peer(dialogue) as target:
            connection = await open_to(target)
            failure = await failed(connection.deliver(ENVELOPE, MESSAGE))
            assert (failure.permanent, failure.code, failure.phase) == (True, 550, "rcpt")
        assert not connection.usable
        assert seen == b""

    async def test_a_reply_before_the_end_of_the_data_counts(self) -> None:
        async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for line in (b"220 mx\r\n", b"250-mx\r\n250 PIPELINING\r\n", b"250 Ok\r\n250 Ok\r\n354 Go\r\n"):
                writer.write(line)
                await reader.read(65536)
            writer.write(b"552 5.3.4 Too much\r\n")
            await reader.read(10_000_000)

        async with peer(dialogue) as target:
            connection = await open_to(target)
            failure = await failed(connection.deliver(ENVELOPE, b"x" * 20_000_000))
            assert (failure.permanent, failure.code) == (True, 552)

    async def test_a_peer_that_reads_nothing(self) -> None:
        over = asyncio.Event()

        async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await script(b"220 mx\r\n", b"250 mx\r\n", b"250 Ok\r\n", b"250 Ok\r\n")(reader, writer)
            writer.write(b"354 Go\r\n")
            await over.wait()

        async with peer(dialogue) as target:
            connection = await open_to(target, command_timeout=0.2)
            failure = await failed(connection.deliver(ENVELOPE, b"x" * 20_000_000))
            assert (failure.permanent, failure.phase, failure.reason) == (False, "data", "timeout")
            over.set()


class TestOpening:
    @pytest.mark.parametrize(
        ("rule", "reason", "permanent"),
        [
            ({"phase": "banner", "reply": "421 4.3.2 Full"}, "rejected", False),
            ({"phase": "banner", "reply": "554 5.7.1 Not you"}, "rejected", False),
            ({"phase": "banner", "reply": "521 5.3.2 Nobody"}, "rejected", True),
            ({"phase": "banner", "do": "drop"}, "closed", False),
            ({"phase": "banner", "do": "garbage"}, "protocol", False),
            ({"phase": "banner", "do": "hang"}, "timeout", False),
            ({"phase": "ehlo", "reply": "450 4.7.1 Not now"}, "rejected", False),
            ({"phase": "ehlo", "do": "drop"}, "closed", False),
            ({"phase": "ehlo", "reply": "421 4.3.2 Bye"}, "rejected", False),
        ],
    )
    async def test_unwelcome(self, rule: dict[str, Any], reason: str, permanent: bool) -> None:
        async with Sink(Rule(**rule)) as sink:
            failure = await failed(open_to(sink, command_timeout=0.2 if reason == "timeout" else 10.0))
            assert (failure.phase, failure.reason, failure.permanent) == (rule["phase"], reason, permanent)
            await sink.wait_until(lambda: not sink.open)

    async def test_nobody_there(self) -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.3", 0))
            failure = await failed(open_to(Target("mx.test", *unheard.getsockname())))
        assert (failure.phase, failure.reason, failure.enhanced) == ("connect", "connect", "4.4.1")
        assert "Connection refused" in failure.text

    async def test_no_answer(self) -> None:
        with socket.socket() as full, socket.socket() as first:
            full.bind(("127.0.0.3", 0))
            full.listen(0)
            first.connect(full.getsockname())  # takes the one place in the queue
            failure = await failed(open_to(Target("mx.test", *full.getsockname()), connect_timeout=0.2))
        assert (failure.phase, failure.reason, failure.permanent) == ("connect", "timeout", False)


class TestIdle:
    async def test_closed_by_the_peer(self, sink: Sink) -> None:
        connection = await open_to(sink)
        await connection.deliver(ENVELOPE, MESSAGE)
        await sink.stop()
        await until_unusable(connection)
        failure = await failed(connection.deliver(ENVELOPE, MESSAGE))
        assert (failure.phase, failure.reason) == ("mail", "closed")

    async def test_what_nobody_asked_for_ends_it(self) -> None:
        said = asyncio.Event()

        async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await script(b"220 mx\r\n")(reader, writer)
            writer.write(b"250 mx\r\n")
            await said.wait()
            writer.write(b"421 4.4.2 Too idle\r\n")
            await reader.read()

        async with peer(dialogue) as target:
            connection = await open_to(target)
            assert connection.usable
            said.set()
            await until_unusable(connection)
            connection.abort()

    async def test_a_peer_that_does_not_answer_quit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "QUIT_TIMEOUT", 0.05)
        async with Sink(Rule(phase="quit", do="hang")) as sink:
            await (await open_to(sink)).quit()
            await sink.wait_until(lambda: not sink.open)


class TestTls:
    @pytest.mark.parametrize(
        ("rules", "extensions"),
        [
            ([], EXTENSIONS),
            ([Rule(phase="starttls", reply="454 4.7.0 Not now")], TLS),
            ([Rule(phase="starttls", do="garbage")], TLS),
        ],
        ids=["not offered", "declined", "no TLS"],
    )
    async def test_required_nothing_goes_in_clear(self, rules: list[Rule], extensions: list[str]) -> None:
        async with Sink(*rules, extensions=extensions) as sink:
            failure = await failed(open_to(sink, tls="required"))
            assert (failure.permanent, failure.phase, failure.reason) == (False, "starttls", "tls")
            assert sink.connections == 1

    async def test_required_and_there(self) -> None:
        async with Sink(extensions=TLS) as sink:
            connection = await open_to(sink, tls="required")
            assert connection.tls_version
            await connection.quit()

    async def test_in_clear_after_a_failed_handshake(self) -> None:
        async with Sink(Rule(phase="starttls", do="garbage"), extensions=TLS) as sink:
            connection = await open_to(sink)
            await connection.deliver(ENVELOPE, MESSAGE)
            assert (sink.connections, sink.received[0].tls, connection.tls_version) == (2, "", "")
            connection.abort()

    async def test_no_second_connection_where_it_would_have_to_wait(self) -> None:
        """Then the host's failure counts; a mistake of ours is not hidden by it."""
        gates: Iterator[Exception | None]

        async def gate() -> None:
            if error := next(gates):
                raise error

        async with Sink(Rule(phase="starttls", do="garbage"), extensions=TLS) as sink:
            target = Target("mx.test", sink.host, sink.port)
            gates = iter([None, NotNowError(1.0, None)])
            failure = await failed(Connection.open(target, "us.test", Policy(), Login(), gate))
            assert (failure.phase, failure.reason, sink.connections) == ("starttls", "tls", 1)
            gates = iter([None, RuntimeError("mistake")])
            with pytest.raises(RuntimeError, match="mistake"):
                await Connection.open(target, "us.test", Policy(), Login(), gate)
            gates = iter([NotNowError(1.0, None)])
            with pytest.raises(NotNowError):
                await Connection.open(target, "us.test", Policy(), Login(), gate)
            assert sink.connections == 2

    async def test_in_clear_where_it_is_declined(self) -> None:
        async with Sink(Rule(phase="starttls", reply="454 4.7.0 Not now"), extensions=TLS) as sink:
            connection = await open_to(sink)
            await connection.deliver(ENVELOPE, MESSAGE)
            assert (sink.connections, sink.received[0].tls) == (1, "")
            connection.abort()

    async def test_not_where_it_is_switched_off(self) -> None:
        async with Sink(extensions=TLS) as sink:
            connection = await open_to(sink, tls="none")
            await connection.deliver(ENVELOPE, MESSAGE)
            assert sink.received[0].tls == ""
            connection.abort()

    async def test_what_was_said_in_clear_is_forgotten(self) -> None:
        """RFC 3207 4.2: replies put in before the handshake answer nothing that is asked after it."""
        context = server_context(*self_signed("mx.test"))

        async def dialogue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await script(b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n")(reader, writer)
            writer.write(b"220 Go\r\n250-evil\r\n250 PIPELINING\r\n")
            await writer.start_tls(context)
            await reader.readline()
            writer.write(b"250-mx\r\n250 8BITMIME\r\n")
            await reader.read()

        async with peer(dialogue) as target:
            connection = await open_to(target)
            assert connection.tls_version
            assert connection.offered.eightbit
            assert not connection.offered.pipelining
            connection.abort()


class TestLogin:
    """Against aiosmtpd, which knows one user."""

    @pytest.fixture
    def certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, bytes]:
        pem, key = self_signed("mx.test")
        (tmp_path / "ca.pem").write_bytes(pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        module._tls_context.cache_clear()
        return pem, key

    @asynccontextmanager
    async def server(self, context: ssl.SSLContext | None, **options: Any) -> AsyncIterator[Target]:
        def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            return AuthResult(success=(data.login, data.password) == (b"us", b"secret"), handled=False)

        def make() -> SMTP:
            return SMTP(
                Taker(), hostname="mx.test", authenticator=check, tls_context=context,
                auth_required=bool(context), require_starttls=bool(context), **options,
            )  # fmt: skip

        server = await asyncio.get_running_loop().create_server(make, "127.0.0.3", 0)
        async with server:
            yield Target("mx.test", *server.sockets[0].getsockname()[:2])

    @pytest.mark.parametrize("excluded", [[], ["PLAIN"]], ids=["PLAIN", "LOGIN"])
    async def test_logged_in(self, certificate: tuple[bytes, bytes], excluded: list[str]) -> None:
        async with self.server(server_context(*certificate), auth_exclude_mechanism=excluded) as target:
            connection = await open_to(target, username="us", password="secret")
            await connection.deliver(ENVELOPE, MESSAGE)
            await connection.quit()

    async def test_a_wrong_password_bounces_nothing(self, certificate: tuple[bytes, bytes]) -> None:
        async with self.server(server_context(*certificate)) as target:
            failure = await failed(open_to(target, username="us", password="wrong"))
        assert (failure.permanent, failure.code, failure.phase, failure.reason) == (False, 535, "auth", "auth")

    async def test_no_mechanism_of_ours(self, certificate: tuple[bytes, bytes]) -> None:
        async with self.server(
            server_context(*certificate), auth_exclude_mechanism=["PLAIN", "LOGIN"]
        ) as target:
            failure = await failed(open_to(target, username="us", password="secret"))
        assert (failure.permanent, failure.phase) == (False, "auth")

    @pytest.mark.usefixtures("certificate")
    async def test_no_password_to_a_stranger(self) -> None:
        async with self.server(server_context(*self_signed("mx.test"))) as target:
            failure = await failed(open_to(target, username="us", password="secret"))
        assert (failure.permanent, failure.phase, failure.reason) == (False, "starttls", "tls")

    async def test_no_password_in_clear(self) -> None:
        async with Sink(extensions=[*EXTENSIONS, "AUTH PLAIN"]) as sink:
            failure = await failed(open_to(sink, username="us", password="secret"))
        assert (failure.permanent, failure.phase, failure.reason) == (False, "auth", "auth")


class Taker:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 Ok" if session.authenticated else "550 No"
