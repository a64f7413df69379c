import pytest

from outbound.failure import permanent, rejected, temporary
from outbound.reply import Reply


@pytest.mark.parametrize(
    ("reply", "is_permanent", "code", "enhanced", "reason"),
    [
        (Reply(550, "5.1.1", ("No such user",)), True, 550, "5.1.1", "rejected"),
        (Reply(554, "", ("No",)), True, 554, "5.0.0", "rejected"),
        (Reply(450, "4.2.0", ("Greylisted",)), False, 450, "4.2.0", "rejected"),
        (Reply(421, "", ("Bye",)), False, 421, "4.0.0", "rejected"),
        (Reply(250, "", ("Ok",)), False, 451, "4.5.0", "protocol"),
        (Reply(354, "", ("Go",)), False, 451, "4.5.0", "protocol"),
    ],
)
def test_a_reply_that_is_no_yes(reply: Reply, is_permanent: bool, code: int, enhanced: str, reason: str) -> None:
    failure = rejected(reply, "rcpt")
    assert (failure.permanent, failure.code, failure.enhanced, failure.reason, failure.phase) == (
        is_permanent, code, enhanced, reason, "rcpt",
    )  # fmt: skip


def test_failures_of_our_own_read_like_replies() -> None:
    failure = temporary("4.4.1", "connection refused", phase="connect", reason="connect")
    failure.host, failure.address = "mx.test", "192.0.2.1"
    assert str(failure) == "mx.test[192.0.2.1]: 451 4.4.1 connection refused"
    assert str(permanent("5.1.2", "no such domain", phase="dns", reason="dns")) == "550 5.1.2 no such domain"
