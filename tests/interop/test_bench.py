"""A short round of the bench of the whole path: everything it needs works, and its figures are plausible."""

from functools import partial
from pathlib import Path

import pytest

from bench import postfix
from bench.figures import Case, table
from bench.generator import SENDER_DOMAIN
from bench.measuring import Make, measure
from bench.relays import SELECTOR, Postjet
from common.key_store import KeyStore

CASE = Case(size=4000, mails=50, sessions=5)
NO_POSTFIX = pytest.mark.skipif(not (postfix.CACHE / "root").exists(), reason="make bench has not fetched Postfix")


@pytest.mark.parametrize(
    ("make", "process"),
    [
        (partial(Postjet, settings={}), "outbound"),
        pytest.param(postfix.PostfixOpenDKIM, "opendkim", marks=NO_POSTFIX),
        pytest.param(postfix.Postfix, "cleanup", marks=NO_POSTFIX),
    ],
)
async def test_a_round(tmp_path: Path, make: Make, process: str) -> None:
    key = KeyStore(f"file://{tmp_path}/{{domain}}.{{selector}}.pem", "").create(SENDER_DOMAIN, SELECTOR, "rsa").path
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)  # Postfix's daemons are not root
    one = await measure(make, CASE, tmp_path / "round", key)
    assert one.accepted > 0
    assert one.delivered > 0
    assert one.cpu[process] > 0
    assert one.memory[process] > 10**6
    assert one.proportional > 0
    assert f"{one.delivered:.0f}" in table(CASE, {"one": [one]})
