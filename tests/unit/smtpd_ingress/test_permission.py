"""What a user may not do is refused in words that name it."""

from users_support import user

from smtpd_ingress.permission import pool_refused, sender_refused

TIM = user("tim", senders="@a.example", pools=["bulk"])


def test_senders() -> None:
    assert sender_refused(TIM, "x@a.example") is None
    assert sender_refused(TIM, "") is None
    assert str(sender_refused(TIM, "x@b.example")) == (
        "553 5.7.1 <x@b.example>: sender address not allowed for user tim"
    )


def test_pools() -> None:
    assert pool_refused(TIM, "bulk") is None
    assert str(pool_refused(TIM, "default")) == "550 5.7.1 X-Postjet-Pool: 'default' is no pool of user tim"
