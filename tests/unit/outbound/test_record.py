import pytest
from support import make_entry

from common.event import Type
from outbound.failure import permanent
from outbound.record import Attempt, log_line
from outbound.site import Delivered

RESULT = Delivered(
    code=250, enhanced="2.0.0", text="Ok: taken", mx_host="mx.example", mx_address="192.0.2.1", tls_version="TLSv1.3",
    tls_cipher="x", time_connect=0.5, time_transfer=0.25, reused=False, source_address="192.0.2.9",
)  # fmt: skip


def test_a_line_as_postfix_writes_it() -> None:
    entry = make_entry("bob@example.com")
    row = Attempt(entry, 2, "w", entry.accepted + 3, "mx.example", time_dns=0.1).delivered(RESULT)
    line = log_line(row)
    assert line.startswith(f"{entry.id}: to=<bob@example.com>, relay=mx.example[192.0.2.1], delay=")
    assert line.endswith("delays=3/0.1/0.5/0.25, dsn=2.0.0, status=sent (250 2.0.0 Ok: taken)")


def test_times_of_mail_sent_later_count_from_its_due_time() -> None:
    entry = make_entry()
    later = entry.but(accepted=entry.accepted - 1000, due=entry.accepted)
    for one in (entry, later):
        row = Attempt(one, 1, "w", entry.accepted + 3).delivered(RESULT)
        assert row.time_queue == pytest.approx(3)
        assert row.time_total == pytest.approx(row.time - entry.accepted)


def test_what_a_bounce_says() -> None:
    entry = make_entry("bob@example.com")
    failure = permanent("5.1.10", "null MX", phase="dns", reason="null_mx", code=556)
    row = Attempt(entry, 1, "w", entry.accepted).bounced(failure)
    assert (row.type, row.status, row.reason, row.phase) == (Type.BOUNCED, "undeliverable", "null_mx", "dns")
    assert "relay=none" in log_line(row)
    assert log_line(row).endswith("dsn=5.1.10, status=bounced (556 5.1.10 null MX)")
