"""Replies that others have labelled, where they are at hand."""

import pytest

from tests.corpora import replies
from tests.corpora.place import is_known


@pytest.fixture(scope="module")
def shares() -> dict[str, tuple[int, int]]:
    if not replies.FILE.exists():
        pytest.skip(f"{replies.FILE} is not there; POSTJET_CORPORA names the folder of corpora")
    return replies.shares(replies.scored())


@pytest.mark.parametrize("what", replies.REACHED)
def test_replies(shares: dict[str, tuple[int, int]], what: str) -> None:
    right, of = shares[what]
    wanted = replies.REACHED if is_known(replies.FILE, replies.DIGEST) else replies.WANTED
    assert of
    assert right >= wanted.get(what, 0) * of
