"""The load generator against a sink."""

import asyncio
from email import message_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master.demo.generator import make_message, send_all, stuffed
from master.demo.sink import EXTENSIONS, Sink
from master.demo.sink_script import Rule


@pytest.fixture
async def sink():
    async with Sink() as running:
        yield running


def mails(count, *recipients):
    return [(f"s{n}@a.test", recipients or (f"r{n}@b.test",), make_message(1000)) for n in range(count)]


@pytest.mark.parametrize("extensions", [EXTENSIONS, ("8BITMIME",)])
async def test_sends_all_over_so_many_sessions(extensions):
    sent, seen = mails(30), []
    async with Sink(extensions=extensions) as sink:
        outcomes = await send_all(iter(sent), sink.host, sink.port, 3, progress=seen.append)
    assert [outcome.number for outcome in outcomes] == list(range(30))
    assert all(outcome.accepted and outcome.tries == 1 and outcome.seconds > 0 for outcome in outcomes)
    assert sorted(seen, key=lambda outcome: outcome.number) == outcomes
    assert (sink.connections, sink.max_open, sink.resets, sink.transactions.total()) == (3, 3, 0, 30)
    assert {(m.sender, m.recipients, m.content) for m in sink.received} == {
        (sender, tuple(recipients), content) for sender, recipients, content in sent
    }


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ()])
async def test_tells_the_reply_that_refused_and_goes_on(phase, extensions):
    rule = Rule(phase=phase, reply="550-5.7.1 No,\r\n550 5.7.1 never", times=1)
    async with Sink(rule, extensions=extensions) as sink:
        outcomes = await send_all(mails(2), sink.host, sink.port)
    assert [(o.code, o.text, o.accepted) for o in outcomes[:1]] == [(550, "5.7.1 No,\n5.7.1 never", False)]
    assert outcomes[1].accepted
    assert sink.connections == 1


async def test_tells_the_recipients_that_were_refused(sink):
    sink.rules.append(Rule(phase="rcpt", recipient="no.test", reply="550 5.1.1 Unknown"))
    [some, none] = await send_all(
        [("", ["a@no.test", "b@yes.test"], b"\r\n"), ("", ["a@no.test"], b"\r\n")], sink.host, sink.port
    )
    assert (some.code, some.refused) == (250, ("a@no.test",))
    assert (none.code, none.refused) == (550, ("a@no.test",))
    assert [mail.recipients for mail in sink.received] == [("b@yes.test",)]


@pytest.mark.parametrize("phase", ["mail", "data", "dot"])
async def test_421_is_a_refusal_and_the_next_mail_takes_a_new_connection(sink, phase):
    sink.rules.append(Rule(phase=phase, reply="421 4.3.2 Going down", times=1))
    outcomes = await send_all(mails(2), sink.host, sink.port)
    assert [outcome.code for outcome in outcomes] == [421, 250]
    assert sink.connections == 2


@pytest.mark.parametrize("do", ["drop", "garbage"])
async def test_a_lost_connection_is_unknown(sink, do):
    sink.rules.append(Rule(phase="taken", do=do, times=1))
    first, second = await send_all(mails(2), sink.host, sink.port)
    assert (first.code, first.accepted, second.code) == (0, False, 250)
    assert sink.mails == 2


async def test_a_try_that_takes_too_long_is_unknown(sink):
    sink.rules.append(Rule(phase="dot", do="hang"))
    [outcome] = await send_all(mails(1), sink.host, sink.port, timeout=0.05)
    assert outcome.code == 0
    assert sink.mails == 0


async def test_nobody_listening_is_unknown():
    sink = Sink()
    await sink.start()
    port = sink.port
    await sink.stop()
    [outcome] = await send_all(mails(1), sink.host, port)
    assert outcome.code == 0
    assert "ConnectionRefused" in outcome.text


async def test_tries_again_until_accepted(sink):
    """The server goes down in the middle and comes back: every mail is there in the end."""
    sink.rules.append(Rule(phase="dot", reply="451 4.3.0 Not now", times=3))
    sending = asyncio.create_task(send_all(mails(20), sink.host, sink.port, 2, retry=True))
    await sink.wait_for(5)
    port = sink.port
    await sink.stop()
    await sink.start(port=port)
    outcomes = await sending
    assert all(outcome.accepted for outcome in outcomes)
    assert max(outcome.tries for outcome in outcomes) > 1
    assert {mail.sender for mail in sink.received} == {f"s{n}@a.test" for n in range(20)}


async def test_tries_again_only_what_may_change_and_only_until_the_deadline(sink):
    sink.rules += [
        Rule(phase="rcpt", recipient="never@b.test", reply="550 5.1.1 Unknown"),
        Rule(phase="rcpt", recipient="later@b.test", reply="450 4.2.0 Later"),
    ]
    sent = mails(1, "never@b.test") + mails(1, "later@b.test")
    never, later = await send_all(sent, sink.host, sink.port, retry=True, deadline=0.25)
    assert (never.code, never.tries) == (550, 1)
    assert later.code == 450
    assert later.tries > 1
    assert {reply.code for reply in later.failed} == {450}


@settings(deadline=None)
@given(size=st.integers(min_value=400, max_value=3000))
def test_messages_have_the_size_wished_for_and_are_well_formed(size):
    message = make_message(size)
    assert len(message) == size
    assert message.endswith(b"\r\n")
    assert b"\r" not in message.replace(b"\r\n", b"")
    assert max(map(len, message.split(b"\r\n"))) <= 78
    parsed = message_from_bytes(message)
    assert parsed["Message-ID"] in parsed["Message-ID"].strip()
    assert parsed["Message-ID"] != message_from_bytes(make_message(size))["Message-ID"]


@settings(deadline=None)
@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\n"])).map(b"".join))
def test_stuffed_content_has_one_end(content):
    wire = b"\r\n" + stuffed(content)
    assert wire.find(b"\r\n.\r\n") == len(wire) - 5
