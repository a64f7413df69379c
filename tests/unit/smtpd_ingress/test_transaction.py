import pytest

from common.addresses import parse_mailbox
from common.config import Config, Delivery
from smtpd_ingress.context import Context
from smtpd_ingress.message import Message, Trace
from smtpd_ingress.options import Options
from smtpd_ingress.transaction import Transaction

EXPIRE = 86_400.0


async def submit(*_: object) -> None:
    """Nothing is queued here."""


@pytest.mark.parametrize("delay", [0, 3600])
def test_options_reach_every_entry_and_the_row(delay: int) -> None:
    config = Config(delivery=Delivery(expire=EXPIRE))
    context = Context.of(config, config.listeners[0], submit, print)
    transaction = Transaction(sender="a@example.org")
    for name in "bc":
        transaction.recipients[parse_mailbox(f"{name}@example.com")] = None
    trace = Trace(
        helo="c", client_address="192.0.2.1", hostname="mta", protocol="ESMTP", submission="01", recipient="", time=0
    )
    transaction.message = Message(trace, 1000)
    transaction.message.options = Options(pool="bulk", priority=9, delay=delay, tags=("spring", "red"), meta={"a": "b"})
    entries, row = transaction.queued_as(context, "192.0.2.1")
    due = row.time + delay if delay else 0
    assert (row.priority, row.next_attempt) == (9, due)
    assert (row.pool, *(entry.pool for entry in entries)) == ("bulk", "bulk", "bulk")
    assert (row.campaign, row.tags, row.meta) == ("spring", ("spring", "red"), {"a": "b"})
    for entry in entries:
        assert (entry.campaign, entry.tags, entry.meta) == (row.campaign, row.tags, row.meta)
        assert (entry.priority, entry.due, entry.accepted) == (9, due, row.time)
        assert entry.expires == row.time + delay + EXPIRE
