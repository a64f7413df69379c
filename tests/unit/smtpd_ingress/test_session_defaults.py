"""What a login and a listener set where a mail does not."""

from collections.abc import Iterator
from typing import Any

import pytest
from users_support import user

from common.config import Config, Listener, Pool
from common.options import Options
from common.users.users import Users
from smtpd_ingress.context import Context
from smtpd_ingress.logins import Logins
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session

DEFAULTS = {"priority": 1, "pool": "bulk", "meta": {"a": "listener", "b": "listener"}}
LISTENER = Listener(auth="optional", defaults=DEFAULTS)
CONFIG = Config(hostname="mta1.example.net", pools={"bulk": Pool()}, listeners=[LISTENER])


async def submit(*_: object) -> None:
    """Nothing is queued here."""


@pytest.fixture
def logins() -> Iterator[Logins]:
    users = [
        user("tim", options={"priority": ["7"], "tag": ["x", "y"], "meta-a": ["login"]}),
        user("ann"),
        user("bob", pools=["default"], options={"pool": ["default"], "notify": ["NEVER"]}),
        user("old", options={"pool": ["gone"]}),
    ]
    made = Logins(Users(users), CONFIG.logins)
    yield made
    made.close()


def session(logins: Logins, login: str, **keys: Any) -> Session:
    context = Context.of(CONFIG, LISTENER, submit, print, logins)
    return Session(context=context, client="192.0.2.1", login=login, **keys)


def test_the_listener_sets_what_the_login_does_not(logins: Logins) -> None:
    of_listener = Options(priority=1, pool="bulk", meta={"a": "listener", "b": "listener"})
    for login in ("", "ann"):
        assert session(logins, login).defaults == of_listener
    assert session(logins, "tim").defaults == Options(
        priority=7, pool="bulk", tags=("x", "y"), meta={"a": "login", "b": "listener"}
    )
    assert session(logins, "bob").defaults == Options(
        priority=1, pool="default", notify="NEVER", meta={"a": "listener", "b": "listener"}
    )


def test_a_default_that_cannot_be_taken_any_more_is_not_left_out_in_silence(logins: Logins) -> None:
    with pytest.raises(RefusedError) as caught:
        _ = session(logins, "old").defaults
    assert str(caught.value.reply) == (
        "451 4.3.0 Option pool of user old: 'gone' is no pool here; there are default, bulk; try again later"
    )
