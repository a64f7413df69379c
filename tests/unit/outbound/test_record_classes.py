"""What kind of failure a row tells of: our own findings by their phase, what servers say by their words."""

import pytest
from support import make_entry

from common import metrics
from common.classify.reading import classifier
from common.classify.rule import ClassRule
from common.controls.control import Action, Control, Match
from common.policies.reading import Layer, Written
from common.suppression.suppression import Source, Suppression
from outbound import record
from outbound.failure import DeliveryFailure, permanent, rejected, temporary
from outbound.record import Attempt
from outbound.reply import Reply

ENTRY = make_entry("bob@example.com")
FINDINGS = [
    ("5.1.2", "no such domain: a.example", "dns", "bad-domain", "hard"),
    ("5.1.10", "a.example takes no mail (null MX)", "dns", "bad-domain", "hard"),
    ("5.4.6", "mail loops back: x is this host", "dns", "routing", "soft"),
    ("5.7.1", "address prohibited: spam.example[127.0.0.1]", "dns", "routing", "soft"),
    ("4.4.3", "DNS failed for spam.example: timeout", "dns", "dns-failure", "soft"),
    ("4.4.1", "connect to mx[192.0.2.1]:25: Connection refused", "connect", "no-answer", "soft"),
    ("4.4.1", "connect to mx[192.0.2.1]:25: no answer within 30 s", "connect", "no-answer", "soft"),
    ("4.4.1", "connect to mx[192.0.2.1]:25: No route to host", "connect", "network", "soft"),
    ("4.4.1", "source address 192.0.2.1: Cannot assign requested address", "connect", "local", "soft"),
    ("4.4.2", "no reply within 300 s", "rcpt", "network", "soft"),
    ("4.4.2", "peer closed the connection; whether it took the message is unknown", "dot", "network", "soft"),
    ("4.4.2", "peer takes no data", "data", "network", "soft"),
    ("4.7.4", "TLS is required, and not offered", "starttls", "tls", "soft"),
    ("4.7.5", "TLS handshake failed: certificate verify failed", "starttls", "tls", "soft"),
    ("4.7.0", "no TLS, so no password is sent", "auth", "tls", "soft"),
    ("4.7.0", "server offers no AUTH PLAIN or LOGIN", "auth", "policy", "soft"),
    ("4.5.0", "not an SMTP reply: HTTP/1.1 400", "banner", "protocol", "soft"),
    ("4.5.0", "unexpected reply: 250 Ok", "data", "protocol", "soft"),
    ("4.7.0", "site:mx suspended by x: user unknown", "route", "rate-limited", "soft"),
    ("4.7.0", "a.pem: Permission denied", "content", "local", "soft"),
    ("4.3.1", "no room for the report that it failed: user unknown", "report", "local", "soft"),
    ("5.3.4", "message of 9 bytes is larger than the 8 that the server takes", "mail", "message-too-large", "soft"),
    ("5.6.3", "message has 8-bit data, which the server does not take", "mail", "unsupported", "soft"),
    ("5.6.7", "message needs SMTPUTF8, which the server does not offer", "mail", "unsupported", "soft"),
]


@pytest.mark.parametrize(("enhanced", "text", "phase", "bounce_class", "bounce_type"), FINDINGS)
def test_our_own_findings(enhanced: str, text: str, phase: str, bounce_class: str, bounce_type: str) -> None:
    made = permanent if enhanced[0] == "5" else temporary
    assert _said(made(enhanced, text, phase=phase, reason="x")) == (bounce_class, bounce_type)


@pytest.mark.parametrize(
    ("reply", "phase", "expected"),
    [
        (Reply(550, "5.1.1", ("No such user",)), "rcpt", ("invalid-recipient", "hard")),
        (Reply(450, "4.1.1", ("No such user",)), "rcpt", ("invalid-recipient", "soft")),
        (Reply(554, "", ("mx.example.org",)), "banner", ("blocklist", "soft")),
        (Reply(550, "", ("Hm",)), "rcpt", ("unclassified", "soft")),
    ],
)
def test_what_servers_say(reply: Reply, phase: str, expected: tuple[str, str]) -> None:
    assert _said(rejected(reply, phase)) == expected


def _said(failure: DeliveryFailure) -> tuple[str, str]:
    row = Attempt(ENTRY, 1, "w", ENTRY.accepted).deferred(failure, 1.0)
    return row.bounce_class, row.bounce_type


def test_that_a_sender_is_told_of_a_delay_is_no_failure() -> None:
    assert _said(temporary("4.4.7", "not delivered yet", phase="report", reason="delayed")) == ("", "")


def test_what_ends_without_a_reply_has_a_class_of_its_own() -> None:
    attempt = Attempt(ENTRY.but(last_reply="mx[192.0.2.1]: 450 4.1.1 No such user"), 1, "w", ENTRY.accepted)
    order = Control(id="c1", action=Action.STOP, match=Match(campaign="x"), reason="user unknown", by="a", since=1.0)
    found = Suppression(recipient="bob@example.com", source=Source.MANUAL, since=1.0, reason="User unknown")
    ours = ((attempt.expired(), "expired"), (attempt.stopped(order), "stopped"), (attempt.suppressed(found), "stopped"))
    for row, expected in ours:
        assert (row.bounce_class, row.bounce_type) == (expected, "soft")


def test_failures_are_counted_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[object, ...]] = []
    monkeypatch.setattr(record, "count", lambda metric, *labels: counted.append((metric, *labels)))
    failure = rejected(Reply(550, "5.1.1", ("No such user",)), "rcpt")
    Attempt(ENTRY, 1, "w", ENTRY.accepted).bounced(failure)
    assert (metrics.DELIVERY_FAILURES, ENTRY.pool, "bounced", "invalid-recipient") in counted


def test_the_rules_in_force_decide() -> None:
    rule = ClassRule.model_validate({"name": "mine", "class": "content", "text": "hm"})
    mine = classifier((Written(rule, Layer.OPERATOR, "postjet.toml:1"),))
    row = Attempt(ENTRY, 1, "w", ENTRY.accepted, mine).bounced(rejected(Reply(550, "", ("Hm",)), "rcpt"))
    assert row.bounce_class == "content"
