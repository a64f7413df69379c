"""Mail to feedback.domain at the door: who may bring what, and what strangers learn of it."""

import time
from typing import Any

import pytest
from dialogue_support import Driven, context
from support import make_entry

from common.codes import OK, Reply
from common.config import Config
from common.entry import FEEDBACK_POOL, Entry
from common.event import Event
from common.feedback import Feedback as Settings
from common.listener import Listener, Logins
from common.verp import Tokens
from smtpd_ingress.actions import Queue
from smtpd_ingress.context import Context
from smtpd_ingress.feedback import Feedback

DOMAIN, STRANGER, CLIENT = "bounces.example.net", "192.0.2.7", "127.0.0.1"
TOKENS = Tokens([bytes(32)])
PLAIN = ("EHLO c.example", "MAIL FROM:<>")


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept(Driven):
    """Keeps what is queued of a message."""

    kept: tuple[list[Entry], Event]

    def queue(self, action: Queue) -> Reply:
        session = self.dialogue.session
        assert session.transaction
        action.message.finish()
        assert not action.message.refusal
        self.kept = session.transaction.queued_as(session.context, session.client)
        return self.dialogue.queued(OK)


def feedback(clock: Clock | None = None, failures: int = 10, **keys: Any) -> Feedback:
    return Feedback(
        Settings(domain=DOMAIN, **keys), Logins(failures=failures), lambda: TOKENS, clock or Clock()
    )


def of(feedback_: Feedback, **listener: Any) -> Context:
    config = Config(hostname="mta1.example.net")
    return Context.of(config, Listener(**listener), context().submit, lambda _: None, feedback=feedback_)


def driven(client: str = STRANGER, feedback_: Feedback | None = None, **listener: Any) -> Driven:
    return Driven(client, of(feedback_ or feedback(), **listener))


def said(driven_: Driven, *lines: str) -> list[str]:
    """The last replies to these commands, as they go out."""
    return [str(driven_.say(f"{line}\r\n".encode())[-1]) for line in lines]


def token(**changes: Any) -> str:
    return TOKENS.make(make_entry(**changes), time.time())


def test_strangers_bring_feedback_and_nothing_else() -> None:
    client = driven()
    said(client, *PLAIN)
    answers = said(
        client, f"RCPT TO:<{token()}@{DOMAIN}>", f"RCPT TO:<fbl@{DOMAIN.upper()}>", f"RCPT TO:<PostMaster@{DOMAIN}>",
        "RCPT TO:<a@elsewhere.example>",
    )  # fmt: skip
    assert [answer[:9] for answer in answers] == ["250 2.1.5", "250 2.1.5", "250 2.1.5", "452 4.5.3"]
    assert said(driven(), *PLAIN, "RCPT TO:<a@elsewhere.example>")[-1].startswith("550 5.7.1")


def test_postmaster_is_always_there() -> None:
    client = driven(feedback_=feedback(addresses=[]))
    assert said(client, *PLAIN, f"RCPT TO:<postmaster@{DOMAIN}>", f"RCPT TO:<fbl@{DOMAIN}>")[2:] == [
        "250 2.1.5 Ok", f"550 5.1.1 <fbl@{DOMAIN}>: no such mailbox here",
    ]  # fmt: skip


def test_what_is_wrong_with_a_token_cannot_be_told() -> None:
    good = token()
    old = TOKENS.make(make_entry(), time.time() - 61 * 86_400)
    forged = Tokens([bytes([1]) * 32]).make(make_entry(), time.time())
    for name in (old, forged, good[:-1], f"{good}0", "nobody", '"quoted local"'):
        client = driven()
        [answer] = said(client, *PLAIN, f"RCPT TO:<{name}@{DOMAIN}>")[2:]
        assert answer == f"550 5.1.1 <{name}@{DOMAIN}>: no such mailbox here"


def test_a_token_that_is_in_time() -> None:
    recent = TOKENS.make(make_entry(), time.time() - 59 * 86_400)
    assert said(driven(), *PLAIN, f"RCPT TO:<{recent}@{DOMAIN}>")[-1] == "250 2.1.5 Ok"


def test_upper_case_and_twice_is_one_recipient() -> None:
    client, name = driven(), token()
    said(client, *PLAIN, f"RCPT TO:<{name}@{DOMAIN}>", f"RCPT TO:<{name.upper()}@{DOMAIN}>")
    transaction = client.dialogue.session.transaction
    assert transaction
    assert [str(one) for one in transaction.recipients] == [f"{name}@{DOMAIN}"]


@pytest.mark.parametrize("first", [f"fbl@{DOMAIN}", "a@elsewhere.example"])
def test_feedback_and_other_mail_are_not_mixed(first: str) -> None:
    client = driven(CLIENT)
    second = f"fbl@{DOMAIN}" if DOMAIN not in first else "a@elsewhere.example"
    answers = said(client, "EHLO c.example", "MAIL FROM:<b@c.example>", f"RCPT TO:<{first}>", f"RCPT TO:<{second}>")
    assert answers[2] == "250 2.1.5 Ok"
    assert answers[3] == "452 4.5.3 Feedback and other mail: send the rest in another transaction"


def test_smtputf8() -> None:
    client = driven()
    mail = "MAIL FROM:<gr\u00fc\u00dfe@c.example> SMTPUTF8"
    answers = said(client, "EHLO c.example", mail, f"RCPT TO:<\u00fc@{DOMAIN}>")
    assert answers[-1].startswith("550 5.1.1 ")
    assert said(client, f"RCPT TO:<{token()}@{DOMAIN}>") == ["250 2.1.5 Ok"]


def test_options_are_never_honoured() -> None:
    listener = {"defaults": {"tags": ["x"], "priority": 9}}
    client = Kept(CLIENT, of(feedback(), **listener))
    said(
        client, "EHLO c.example", "MAIL FROM:<b@c.example> ENVID=x RET=HDRS HOLDFOR=600 MT-PRIORITY=9 BY=60;N",
        f"RCPT TO:<fbl@{DOMAIN}> NOTIFY=SUCCESS ORCPT=rfc822;x", "DATA",
    )  # fmt: skip
    options = b"X-Postjet-Pool: bulk\r\nX-Postjet-Schedule: nonsense\r\nX-Postjet-Id: abc\r\nList-Id: l\r\n"
    client.say(options + b"\r\nhi\r\n.\r\n")
    [entry], [row] = client.kept
    bare = make_entry(
        f"fbl@{DOMAIN}", sender="b@c.example", pool=FEEDBACK_POOL, submission=entry.submission, accepted=entry.accepted,
        expires=entry.expires, size=entry.size, content=None, message_id=entry.message_id, interface="relay",
        client_address=CLIENT,
    )  # fmt: skip
    assert entry == bare
    assert row.pool == FEEDBACK_POOL


def test_our_own_fields_come_back_as_they_left() -> None:
    client = driven()
    said(client, *PLAIN, f"RCPT TO:<fbl@{DOMAIN}>", "DATA")
    client.say(b"X-Postjet-Id: abc\r\nSubject: x\r\n\r\nhi\r\n.\r\n")
    [(recipients, content)] = client.messages
    assert recipients == (f"fbl@{DOMAIN}",)
    assert b"\r\nX-Postjet-Id: abc\r\n" in content


# --- how often ---


def rcpt(client: str, name: str, feedback_: Feedback) -> str:
    return said(driven(client, feedback_), *PLAIN, f"RCPT TO:<{name}@{DOMAIN}>")[-1][:9]


def test_a_client_may_bring_so_much_to_the_fixed_addresses() -> None:
    clock = Clock()
    one = feedback(clock, client_rate=2, rate=5)
    assert [rcpt(STRANGER, name, one) for name in ("fbl", "abuse", "fbl")] == ["250 2.1.5", "250 2.1.5", "450 4.7.1"]
    assert rcpt(STRANGER, token(), one) == "250 2.1.5"
    assert rcpt("192.0.2.8", "fbl", one) == "250 2.1.5"
    clock.now += 30
    assert [rcpt(STRANGER, "fbl", one) for _ in range(2)] == ["250 2.1.5", "450 4.7.1"]


def test_so_may_all_together() -> None:
    one = feedback(client_rate=2, rate=3)
    answers = [rcpt(f"192.0.2.{number}", "fbl", one) for number in range(1, 5)]
    assert answers == ["250 2.1.5"] * 3 + ["450 4.7.1"]
    assert rcpt(CLIENT, "fbl", one) == "250 2.1.5"  # who may relay


def test_a_return_path_takes_so_much() -> None:
    clock, name = Clock(), token()
    one = feedback(clock, token_rate=2)
    answers = [rcpt(f"192.0.2.{number}", name, one) for number in range(1, 4)]
    assert answers == ["250 2.1.5", "250 2.1.5", "450 4.7.1"]
    assert rcpt(STRANGER, token(), one) == "250 2.1.5"
    clock.now += 1800
    assert rcpt(STRANGER, name, one) == "250 2.1.5"


def test_guesses_are_answered_later_and_later_and_then_nothing_is_told_any_more() -> None:
    clock = Clock()
    one = feedback(clock, failures=4)
    client = driven(STRANGER, one)
    said(client, *PLAIN)
    delays = []
    for number in range(4):
        client.dialogue.feed(f"RCPT TO:<guess{number}@{DOMAIN}>\r\n".encode())
        action: Any = client.dialogue.next()
        assert str(action.reply).startswith("550 5.1.1")
        delays.append(action.seconds)
    assert delays == [0.5, 1, 2, 4]
    # nor what would be right: nobody learns which it is
    for name in (token(), "fbl", "guess"):
        assert rcpt(STRANGER, name, one) == "450 4.7.1"
    assert rcpt("192.0.2.8", token(), one) == "250 2.1.5"
    clock.now += 600
    assert rcpt(STRANGER, token(), one) == "250 2.1.5"


def test_who_may_relay_is_told_at_once() -> None:
    client = driven(CLIENT)
    said(client, *PLAIN)
    [reply] = client.say(f"RCPT TO:<nobody@{DOMAIN}>\r\n".encode())
    assert str(reply).startswith("550 5.1.1")
