"""What a login and a listener set where a mail does not."""

from typing import Any

import pytest
from dialogue_support import Driven
from users_support import user

from common.config import Config, Pool
from common.listener import Listener
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
def logins() -> Logins:
    users = [
        user("tim", options={"priority": ["7"], "tag": ["x", "y"], "meta-a": ["login"]}),
        user("ann"),
        user("bob", pools=["default"], options={"pool": ["default"], "notify": ["NEVER"]}),
        user("old", options={"pool": ["gone"]}),
    ]
    return Logins(Users(users), CONFIG.logins)


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


@pytest.mark.parametrize("line", ["RCPT TO:<c@example.com>", "DATA", "BDAT 0 LAST"])
def test_who_is_removed_after_mail_has_no_rights_left(logins: Logins, line: str) -> None:
    """Else all pools and no quota would be what holds for the rest of the mail."""
    of = Context.of(CONFIG, LISTENER, submit, print, logins)
    talk = Driven("192.0.2.1", of)
    talk.dialogue.session.esmtp, talk.dialogue.session.helo, talk.dialogue.session.login = True, "c", "bob"
    talk.say(b"MAIL FROM:<a@example.org>\r\n")
    assert talk.say(b"RCPT TO:<b@example.com>\r\n")[0].code == 250
    del logins.users._users["bob"]
    assert talk.say(f"{line}\r\n".encode())[0].code == 530
    assert [reply.code for reply in talk.say(b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n")] == [250, 250, 550]


def test_a_default_that_cannot_be_taken_any_more_is_not_left_out_in_silence(logins: Logins) -> None:
    with pytest.raises(RefusedError) as caught:
        _ = session(logins, "old").defaults
    assert str(caught.value.reply) == (
        "451 4.3.0 Option pool of user old: 'gone' is no pool here; there are default, bulk; try again later"
    )


@pytest.mark.parametrize(
    ("values", "pool"),
    [
        ({}, None),  # the default one
        ({"options": {"pool": "news"}}, "news"),
        ({"pools": ["news", "default"]}, None),
        ({"pools": ["news", "bulk"]}, "bulk"),  # in the configuration's order
        ({"pools": ["news", "bulk"], "options": {"pool": "news"}}, "news"),
    ],
)
def test_where_mail_of_a_login_goes_that_names_no_pool(values: dict[str, object], pool: str | None) -> None:
    assert _tim(**values).defaults.pool == pool


def test_a_user_none_of_whose_pools_is_there() -> None:
    with pytest.raises(RefusedError, match="User tim has no pool that is there"):
        assert _tim(pools=["gone"]).defaults


def _tim(**values: object) -> Session:
    config = Config(hostname="mta.test", pools={"bulk": Pool(), "news": Pool()})
    logins = Logins(Users([user("tim", **values)]), config.logins)
    return Session(context=Context.of(config, Listener(), submit, print, logins), client="192.0.2.1", login="tim")
