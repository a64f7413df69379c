"""Where mail of a login goes that names no pool."""

import pytest
from users_support import user

from common.config import Config, Listener, Pool
from common.users.users import Users
from smtpd_ingress.context import Context
from smtpd_ingress.logins import Logins
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session


async def submit(*_: object) -> None:
    raise AssertionError("nothing is queued here")


def session(**values: object) -> Session:
    config = Config(hostname="mta.test", pools={"bulk": Pool(), "news": Pool()})
    logins = Logins(Users([user("tim", **values)]), config.logins)
    context = Context.of(config, Listener(auth="optional", auth_without_tls=True), submit, lambda _: None, logins)
    return Session(context=context, client="192.0.2.1", login="tim")


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
def test_pool(values: dict[str, object], pool: str | None) -> None:
    assert session(**values).defaults.pool == pool


@pytest.mark.parametrize("values", [{"pools": ["gone"]}, {"options": {"pool": "gone"}}])
def test_a_pool_that_was_taken_away(values: dict[str, object]) -> None:
    with pytest.raises(RefusedError, match="tim"):
        assert session(**values).defaults
