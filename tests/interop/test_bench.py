"""A short round of the bench of the whole path: everything it needs works, and its figures are plausible."""

from functools import partial

import pytest
from packages_support import NEEDS_POSTFIX

from bench import postfix
from bench.figures import Case, table
from bench.generator import SENDER_DOMAIN
from bench.measuring import Make, measure, workplace
from bench.relays import SELECTOR, Postjet
from common.key_store import KeyStore

CASE = Case(size=4000, mails=50, sessions=5)


@pytest.mark.parametrize(
    ("make", "process"),
    [
        (partial(Postjet, settings={}), "outbound"),
        pytest.param(postfix.PostfixOpenDKIM, "opendkim", marks=NEEDS_POSTFIX),
        pytest.param(postfix.Postfix, "cleanup", marks=NEEDS_POSTFIX),
    ],
)
async def test_a_round(make: Make, process: str) -> None:
    with workplace() as folder:  # not tmp_path, which pytest makes root's alone
        key = KeyStore(f"file://{folder}/{{domain}}.{{selector}}.pem", "").create(SENDER_DOMAIN, SELECTOR, "rsa").path
        one = await measure(make, CASE, folder / "round", key)
    assert one.accepted > 0
    assert one.delivered > 0
    assert process in one.cpu  # for so few mails it may be less than a tick of the clock
    assert sum(one.cpu.values()) > 0
    assert one.memory[process] > 10**6
    assert one.proportional > 0
    assert f"{one.delivered:.0f}" in table(CASE, {"one": [one]})
