"""The sink, spoken to by raw connections and by smtplib."""

import asyncio
import json
import os
import signal
import smtplib
import ssl
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master.demo.generator import stuffed
from master.demo.sink import EXTENSIONS, Sink
from master.demo.sink_script import Rule
from master.demo.sink_session import Session

TRANSACTION = b"MAIL FROM:<s@a.test>\r\nRCPT TO:<r@b.test>\r\nDATA\r\n"


@pytest.fixture
async def sink():
    async with Sink(extensions=(*EXTENSIONS, "STARTTLS")) as running:
        yield running


class Dialogue:
    """A raw client: says bytes, reads replies."""

    def __init__(self, sink):
        self.sink = sink

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self.sink.host, self.sink.port)
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    async def reply(self):
        """All lines of the next reply; b"" when the connection ended."""
        reply = b""
        while True:
            line = await self.reader.readline()
            reply += line
            if line[3:4] != b"-":
                return reply

    async def codes(self, data, count):
        """The codes of the replies to data."""
        self.writer.write(data)
        return [int((await self.reply())[:3]) for _ in range(count)]

    async def greet(self):
        assert await self.codes(b"EHLO client.test\r\n", 2) == [220, 250]
        return self


async def test_keeps_what_it_receives(sink):
    async with Dialogue(sink) as client:
        await client.greet()
        mail = b'mail from:<> SIZE=12 BODY=8BITMIME\r\nrcpt to:<"a>b"@b.test>\r\nRCPT TO:<r@b.test>\r\nDATA\r\n'
        assert await client.codes(mail, 4) == [250, 250, 250, 354]
        assert await client.codes(b"a: b\r\n\r\n..\r\n.x\xff\r\n\r\n.\r\n", 1) == [250]
    [mail] = sink.received
    assert (mail.sender, mail.recipients) == ("", ('"a>b"@b.test', "r@b.test"))
    assert mail.parameters == ("SIZE=12", "BODY=8BITMIME")
    assert mail.content == b"a: b\r\n\r\n.\r\nx\xff\r\n\r\n"
    assert (mail.ehlo, mail.tls, mail.peer, mail.connection) == ("client.test", "", "127.0.0.1", 1)
    assert mail.time > 1.7e9


async def test_counts(sink):
    async with Dialogue(sink) as one, Dialogue(sink) as two:
        await one.greet()
        await two.greet()
        assert await one.codes(TRANSACTION, 3) == [250, 250, 354]
        assert await one.codes(b".\r\n" + TRANSACTION, 4) == [250, 250, 250, 354]
        assert await one.codes(b".\r\nRSET\r\nNOOP\r\nQUIT\r\n", 4) == [250, 250, 250, 221]
        assert await one.reply() == b""
        assert await two.codes(b"MAIL FROM:<s@a.test>\r\nQUIT\r\n", 2) == [250, 221]
    await sink.wait_until(lambda: sink.open == 0)
    assert (sink.connections, sink.max_open, sink.mails, sink.resets) == (2, 2, 2, 1)
    assert sink.transactions == {1: 2, 2: 1}


async def test_minds_the_order_of_commands(sink):
    async with Dialogue(sink) as client:
        assert await client.codes(b"MAIL FROM:<x>\r\nHELO x\r\nRCPT TO:<r@b.test>\r\n", 4) == [220, 503, 250, 503]
        assert await client.codes(b"MAIL FROM:x\r\nMAIL FROM:<x>\r\nMAIL FROM:<x>\r\n", 3) == [501, 250, 503]
        assert await client.codes(b"DATA\r\nRCPT TO:\r\nVRFY x\r\n", 3) == [503, 501, 500]
        assert await client.codes(b"x" * 9000, 1) == [421]


async def test_offers_what_it_is_told():
    async with Sink(extensions=["SIZE 1000"], hostname="mx1.b.test") as sink, Dialogue(sink) as client:
        assert await client.reply() == b"220 mx1.b.test ESMTP sink\r\n"
        client.writer.write(b"EHLO x\r\nMAIL FROM:<x>\r\nSTARTTLS\r\n")
        assert await client.reply() == b"250-mx1.b.test\r\n250 SIZE 1000\r\n"
        assert await client.reply() == b"250 Ok\r\n"
        assert (await client.reply())[:3] == b"503"


async def test_keeps_what_was_said_and_holds_clients_to_its_limit():
    async with Sink(extensions=["DSN", "LIMITS RCPTMAX=5 MAILMAX=1"]) as sink, Dialogue(sink) as client:
        await client.codes(b"EHLO x\r\n", 2)
        mail = b"MAIL FROM:<s@a.test> RET=HDRS\r\nRCPT TO:<r@b.test> NOTIFY=NEVER\r\nDATA\r\n"
        assert await client.codes(mail + b".\r\nMAIL FROM:<s@a.test>\r\n", 5) == [250, 250, 354, 250, 421]
    assert sink.received[0].commands == ("MAIL FROM:<s@a.test> RET=HDRS", "RCPT TO:<r@b.test> NOTIFY=NEVER")


async def test_rules_reply_by_phase_recipient_and_count(sink):
    sink.rules += [
        Rule(phase="mail", reply="450 4.2.0 Greylisted", times=1),
        Rule(phase="rcpt", recipient="Full@b.test", reply="452 4.2.2 Full"),
        Rule(phase="rcpt", recipient="no.test", reply="550-5.1.1 No\r\n550 5.1.1 such user"),
        Rule(phase="dot", recipient="spam@b.test", reply="554 5.7.1 Spam"),
    ]
    async with Dialogue(sink) as client:
        await client.greet()
        assert await client.codes(b"MAIL FROM:<s@a.test>\r\n" * 2, 2) == [450, 250]
        rcpts = [b"full@b.test", b"x@no.test", b"r@b.test", b"r@sub.no.test"]
        assert await client.codes(b"".join(b"RCPT TO:<%s>\r\n" % to for to in rcpts), 4) == [452, 550, 250, 250]
        assert await client.codes(b"DATA\r\n.\r\n", 2) == [354, 250]
        assert await client.codes(TRANSACTION.replace(b"<r@", b"<spam@") + b".\r\n", 4) == [250, 250, 354, 554]
    assert [mail.recipients for mail in sink.received] == [("r@b.test", "r@sub.no.test")]
    assert [rule.used for rule in sink.rules] == [1, 1, 1, 1]


#: Of each phase: the command that reaches it, and how many replies come before its own.
STEPS = {
    "connect": (b"", 0),
    "banner": (b"", 0),
    "ehlo": (b"EHLO x\r\n", 1),
    "mail": (b"MAIL FROM:<s@a.test>\r\n", 2),
    "rcpt": (b"RCPT TO:<r@b.test>\r\n", 3),
    "data": (b"DATA\r\n", 4),
    "dot": (b".\r\n", 5),
    "taken": (b"", 5),
    "rset": (b"RSET\r\n", 6),
    "quit": (b"QUIT\r\n", 7),
}


@pytest.mark.parametrize("phase", STEPS)
@pytest.mark.parametrize("do", ["drop", "garbage", "hang"])
async def test_rules_break_any_phase(sink, phase, do):
    """Replies before the phase come; then nothing, no SMTP, or the end."""
    sink.rules.append(Rule(phase=phase, do=do))
    commands = [command for command, _ in STEPS.values()][: list(STEPS).index(phase) + 1]
    async with Dialogue(sink) as client:
        assert max(await client.codes(b"".join(commands), STEPS[phase][1]), default=0) < 400
        if do == "hang":
            await sink.wait_until(lambda: sink.rules[0].used == 1)
            assert sink.open == 1
        else:
            assert (await client.reply())[:2] == (b"" if do == "drop" else b"\0\xff")
    assert sink.mails == (phase in ("taken", "rset", "quit"))
    assert [mail.told for mail in sink.received] == [phase != "taken"] * sink.mails


async def test_rules_wait_for_an_event_or_seconds(sink):
    release = asyncio.Event()
    sink.rules += [Rule(phase="dot", wait=release), Rule(phase="ehlo", wait=0.001)]
    async with Dialogue(sink) as client:
        await client.greet()
        assert await client.codes(TRANSACTION + b".\r\nNOOP\r\n", 3) == [250, 250, 354]
        await sink.wait_for(1)
        reply = asyncio.create_task(client.reply())
        async with Dialogue(sink) as other:
            await other.greet()
        assert not reply.done()
        release.set()
        assert (await reply)[:3] == b"250"
        assert await client.codes(b"QUIT\r\n", 2) == [250, 221]


async def test_421_closes(sink):
    sink.rules.append(Rule(phase="banner", reply="421 4.3.2 Too busy"))
    async with Dialogue(sink) as client:
        assert await client.reply() == b"421 4.3.2 Too busy\r\n"
        assert await client.reply() == b""


def test_rules_have_known_phases():
    with pytest.raises(ValueError, match="rctp"):
        Rule(phase="rctp")
    with pytest.raises(ValueError, match="explode"):
        Rule(phase="rcpt", do="explode")


async def test_starttls_with_smtplib(sink):
    """An independent client verifies the certificate and sends its mail over TLS."""
    context = ssl.create_default_context(cadata=sink.identity[0].decode())

    def send():
        with smtplib.SMTP(sink.host, sink.port, local_hostname="client.test") as client:
            client._host = sink.hostname  # the name that starttls verifies
            client.starttls(context=context)
            client.sendmail("s@a.test", ["r@b.test", "q@b.test"], b"Subject: hi\r\n\r\n.dots\r\n")
            return client.esmtp_features

    features = await asyncio.to_thread(send)
    [mail] = sink.received
    assert (mail.tls, mail.ehlo, mail.content) == ("TLSv1.3", "client.test", b"Subject: hi\r\n\r\n.dots\r\n")
    assert "starttls" not in features
    assert "pipelining" in features


@pytest.mark.parametrize("rule", [Rule(phase="starttls", reply="454 4.7.0 Not now"), None])
async def test_refused_starttls_leaves_the_session_as_it_was(sink, rule):
    sink.rules += [rule] if rule else []
    sink.extensions = EXTENSIONS if rule is None else sink.extensions
    async with Dialogue(sink) as client:
        await client.greet()
        assert await client.codes(b"STARTTLS\r\n", 1) == [454 if rule else 503]
        assert await client.codes(b"MAIL FROM:<s@a.test>\r\n", 1) == [250]


async def test_bad_handshakes_of_either_side(sink):
    async with Dialogue(sink) as client:
        await client.greet()
        assert await client.codes(b"STARTTLS\r\n", 1) == [220]
        client.writer.write(b"no TLS\r\n")
        await client.reader.read()
        await sink.wait_until(lambda: sink.open == 0)

    sink.rules.append(Rule(phase="starttls", do="garbage"))
    async with Dialogue(sink) as client:
        await client.greet()
        assert await client.codes(b"STARTTLS\r\n", 1) == [220]
        with pytest.raises(ssl.SSLError):
            await client.writer.start_tls(ssl.create_default_context(), server_hostname="mx.test")


async def test_what_was_said_in_the_clear_does_not_count_after_starttls(sink):
    """RFC 3207 section 4.2."""
    context = ssl.create_default_context(cadata=sink.identity[0].decode())
    async with Dialogue(sink) as client:
        await client.greet()
        assert await client.codes(b"MAIL FROM:<s@a.test>\r\nSTARTTLS\r\nNOOP\r\n", 2) == [250, 220]
        await client.writer.start_tls(context, server_hostname="mx.test")
        assert await client.codes(b"RCPT TO:<r@b.test>\r\nMAIL FROM:<s@a.test>\r\n", 2) == [503, 503]


async def test_stops_at_once_whatever_its_clients_do(sink):
    sink.rules.append(Rule(phase="mail", wait=asyncio.Event()))
    async with Dialogue(sink) as idle, Dialogue(sink) as waiting, Dialogue(sink) as handshake:
        for client in (idle, waiting, handshake):
            await client.greet()
        waiting.writer.write(b"MAIL FROM:<s@a.test>\r\n")
        assert await handshake.codes(b"STARTTLS\r\n", 1) == [220]
        await sink.wait_until(lambda: sink.rules[0].used == 1)
        port = sink.port
        await sink.stop()
        assert sink.open == 0
        assert await idle.reply() == b""
    await sink.start(port=port)


async def test_wait_for_gives_up(sink):
    with pytest.raises(TimeoutError):
        await sink.wait_for(1, timeout=0.01)


async def test_counts_only_when_told_and_logs(tmp_path):
    log = tmp_path / "log"
    async with Sink(keep=False, log=log) as sink, Dialogue(sink) as client:
        await client.greet()
        await client.codes(TRANSACTION.replace(b"DATA", b"RCPT TO:<q@b.test>\r\nDATA"), 4)
        await client.codes(b"Subject: x\r\nMessage-Id:\r\n <1@a.test>\r\n\r\nMessage-ID: <2@a.test>\r\n.\r\n", 1)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert (sink.received, sink.mails) == ([], 1)
    assert [(line["message_id"], line["recipient"], line["connection"]) for line in lines] == [
        ("<1@a.test>", "r@b.test", 1),
        ("<1@a.test>", "q@b.test", 1),
    ]
    assert lines[0]["time"] > 1.7e9


def test_as_a_process(tmp_path):
    command = [sys.executable, "-m", "master.demo.sink", "--bind", "127.0.0.2:0", "--starttls"]
    with subprocess.Popen([*command, "--log", tmp_path / "log"], stdout=subprocess.PIPE, text=True) as process:
        host, _, port = process.stdout.readline().strip().partition(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.starttls()
            client.sendmail("s@a.test", "r@b.test", "Message-ID: <1@a.test>\n\n")
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait() == 0
            client.close()
    assert json.loads((tmp_path / "log").read_text())["message_id"] == "<1@a.test>"


class _Transport(asyncio.Transport):
    """Where a session writes when it is fed by hand."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""

    def write(self, data):
        self.written += data

    def close(self):
        pass

    abort = close


_lines = st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\n", b"\r", b"\xff"])).map(b"".join)


@settings(deadline=None)
@given(contents=st.lists(_lines, max_size=3), cuts=st.lists(st.integers(0, 300)))
def test_content_comes_through_however_it_is_cut(contents, cuts):
    contents = [content + b"\r\n" if content else b"" for content in contents]
    sink = Sink()
    session = Session(sink)
    session.connection_made(_Transport())
    wire = b"EHLO x\r\n" + b"".join(TRANSACTION + stuffed(content) for content in contents)
    for start, end in pairwise(sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})):
        session.data_received(wire[start:end])
    assert [mail.content for mail in sink.received] == contents


_words = st.sampled_from([b"EHLO x\r\n", b"MAIL FROM:<", b"RCPT TO:<x>\r\n", b"DATA\r\n", b"\r\n", b"."])


@settings(deadline=None)
@given(st.lists(_words | st.binary()))
def test_any_bytes_are_answered_with_replies(chunks):
    session, transport = Session(Sink()), _Transport()
    session.connection_made(transport)
    for chunk in chunks:
        session.data_received(chunk)
    lines = transport.written.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line[:3].isdigit() and line[3:4] in b" -" for line in lines)
