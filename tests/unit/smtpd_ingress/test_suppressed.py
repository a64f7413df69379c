"""A suppressed recipient: refused at RCPT, or taken, told of and not queued."""

import time

import pytest
from dialogue_support import Driven, context

from common.config import Config
from common.event import Status, Type
from common.listener import Listener
from common.suppression.store import bucket_of
from common.suppression.suppression import Source, Suppression, pack, unpack_records
from common.suppression.suppressions import Suppressions
from smtpd_ingress.context import Context
from smtpd_ingress.rejection import Rejection

GONE, COUNTED, FINE = "gone@x.example", "full@x.example", "fine@x.example"
UNTIL = 1_900_000_000.0


async def submit(*_: object) -> None: ...


def known(found: Suppressions | None = None) -> Suppressions:
    found = Suppressions() if found is None else found
    for recipient, source in ((GONE, Source.BOUNCE), (COUNTED, Source.COUNTED)):
        one = Suppression(recipient=recipient, scope="@s.example", source=source, since=time.time(), until=UNTIL)
        found._table.put(bucket_of(recipient), unpack_records(pack([one])))
    return found


def driven(at_rcpt: str, rejections: list[Rejection] | None = None, client: str = "127.0.0.1") -> Driven:
    config = Config.model_validate({"hostname": "mta1.example.net", "suppression": {"at_rcpt": at_rcpt}})
    rejected = [] if rejections is None else rejections
    return Driven(client, Context.of(config, Listener(), submit, rejected.append, suppressions=known()))


def rcpt(to: Driven, recipient: str, sender: str = "news@s.example") -> str:
    for line in ("EHLO c.example", f"MAIL FROM:<{sender}>"):
        to.say(f"{line}\r\n".encode())
    return str(to.say(f"RCPT TO:<{recipient}>\r\n".encode())[0])


def test_it_is_refused_with_the_reason_and_the_remedy() -> None:
    rejections: list[Rejection] = []
    said = rcpt(driven("refuse", rejections), "Gone@X.example")
    assert said == (
        "550 5.7.1 <Gone@x.example>: suppressed: its mail bounced until 2030-03-17; "
        "'postjet suppression remove Gone@x.example' lets mail through again"
    )
    [rejection] = rejections
    assert (rejection.phase, rejection.recipient, rejection.sender) == ("rcpt", "Gone@X.example", "news@s.example")


@pytest.mark.parametrize(
    ("recipient", "sender"), [(FINE, "news@s.example"), (COUNTED, "news@s.example"), (GONE, "a@t.example"), (GONE, "")]
)
def test_who_is_not_refused(recipient: str, sender: str) -> None:
    assert rcpt(driven("refuse"), recipient, sender).startswith("250 2.1.5")


def test_a_stranger_learns_nothing() -> None:
    assert "relaying denied" in rcpt(driven("refuse", client="192.0.2.1"), GONE)


def test_accepted_it_is_told_and_not_queued() -> None:
    client = driven("accept")
    client.say(b"EHLO c.example\r\nMAIL FROM:<news@s.example>\r\n")
    said = client.say(f"RCPT TO:<{FINE}>\r\nRCPT TO:<{GONE}>\r\nRCPT TO:<{COUNTED}>\r\nDATA\r\n".encode())
    assert [reply.code for reply in said] == [250, 250, 250, 354]
    session = client.dialogue.session
    transaction = session.transaction
    assert transaction
    assert transaction.message
    transaction.message.feed(b"Subject: x\r\n\r\nx\r\n")
    entries, rows = transaction.queued_as(session.context, session.client)
    assert [(entry.recipient, entry.number) for entry in entries] == [(FINE, 1), (COUNTED, 3)]
    accepted, suppressed = rows
    assert (accepted.type, accepted.recipients) == (Type.ACCEPTED, (FINE, GONE, COUNTED))
    assert (suppressed.type, suppressed.status) == (Type.SUPPRESSED, Status.UNDELIVERABLE)
    assert (suppressed.recipient, suppressed.delivery) == (GONE, f"{accepted.submission}-2")
    assert (suppressed.reason, suppressed.text) == ("bounce", "suppressed: its mail bounced until 2030-03-17")


def test_a_suppression_that_comes_later_is_obeyed() -> None:
    nobody = Suppressions()
    config = Config()
    later = Driven(of=Context.of(config, Listener(), submit, print, suppressions=nobody))
    known(nobody)
    assert rcpt(later, GONE).startswith("550 5.7.1")


def test_nobody_is_suppressed_where_nothing_is_known() -> None:
    assert rcpt(Driven(of=context()), GONE).startswith("250")
