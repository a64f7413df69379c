from typing import Any

import pytest

from common.addresses import parse_mailbox
from common.config import Config, Delivery
from common.entry import Entry
from common.event import Event
from common.options import NOTHING, Options, When
from smtpd_ingress.context import Context
from smtpd_ingress.message import Message, Trace
from smtpd_ingress.options import HeaderOptions
from smtpd_ingress.params import MailParameters, RcptParameters
from smtpd_ingress.transaction import Transaction

EXPIRE = 86_400.0
NOW = 1_800_000_000.0


async def submit(*_: object) -> None:
    """Nothing is queued here."""


def transaction(header: Options = NOTHING, **fields: Any) -> Transaction:
    """To b and c, who has parameters of its own; its message has come."""
    made = Transaction(sender="a@example.org", **fields)
    made.recipients[parse_mailbox("b@example.com")] = RcptParameters()
    made.recipients[parse_mailbox("c@example.com")] = RcptParameters(notify="SUCCESS", orcpt="rfc822;d@example.com")
    trace = Trace(
        helo="c", client_address="192.0.2.1", hostname="mta", protocol="ESMTP", submission="01", recipient="", time=0
    )
    made.message = Message(trace, 1000, HeaderOptions())
    made.message.options = header
    return made


def queued(made: Transaction) -> tuple[list[Entry], Event]:
    config = Config(delivery=Delivery(expire=EXPIRE))
    entries, rows = made.queued_as(Context.of(config, config.listeners[0], submit, print), "192.0.2.1")
    return entries, rows[0]


@pytest.mark.parametrize("delay", [0, 3600])
def test_options_reach_every_entry_and_the_row(delay: int) -> None:
    options = Options(pool="bulk", priority=9, later=When(delay=delay), tags=("spring", "red"), meta={"a": "b"})
    entries, row = queued(transaction(options))
    due = row.time + delay if delay else 0
    assert (row.priority, row.next_attempt) == (9, due)
    assert (row.pool, *(entry.pool for entry in entries)) == ("bulk", "bulk", "bulk")
    assert (row.campaign, row.tags, row.meta) == ("spring", ("spring", "red"), {"a": "b"})
    for entry in entries:
        assert (entry.campaign, entry.tags, entry.meta) == (row.campaign, row.tags, row.meta)
        assert (entry.priority, entry.due, entry.accepted) == (9, due, row.time)
        assert entry.expires == row.time + delay + EXPIRE


def test_parameters_reach_the_entries() -> None:
    said = MailParameters(eightbit=True, smtputf8=True, future_release="for;60", deliver_by=600)
    options = Options(ret="HDRS", envid="e", later=When(delay=60))
    entries, row = queued(transaction(said=said, options=options, began=NOW))
    assert [(entry.notify, entry.orcpt) for entry in entries] == [("", ""), ("SUCCESS", "rfc822;d@example.com")]
    for entry in entries:
        assert (entry.ret, entry.envid, entry.future_release) == ("HDRS", "e", "for;60")
        assert (entry.eightbit, entry.smtputf8) == (True, True)
        assert (entry.due, entry.deliver_by) == (row.time + 60, row.time + 660)
    entries, _ = queued(transaction(said=said, began=NOW))
    assert {entry.deliver_by for entry in entries} == {NOW + 600}


def test_parameters_go_over_the_header_and_that_over_login_and_listener() -> None:
    defaults = Options(priority=1, notify="NEVER", tags=("d",), meta={"a": "d", "b": "d"}, expire=When(delay=60))
    header = Options(priority=2, notify="DELAY", tags=("h",), meta={"a": "h"})
    entries, row = queued(transaction(header, options=Options(priority=0), defaults=defaults))
    assert [entry.notify for entry in entries] == ["DELAY", "SUCCESS"]
    for entry in entries:
        assert (entry.priority, entry.tags, entry.meta) == (0, ("h",), {"a": "h", "b": "d"})
        assert entry.expires == row.time + 60


def test_giving_up_counts_from_the_due_time_unless_it_is_a_time_itself() -> None:
    later = When(delay=1000)
    entries, row = queued(transaction(Options(later=later, expire=When(delay=60))))
    assert entries[0].expires == row.time + 1060
    entries, _ = queued(transaction(Options(later=later, expire=When(at=NOW))))
    assert entries[0].expires == NOW
