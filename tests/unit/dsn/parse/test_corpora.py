"""Real bounces and auto-replies that others have labelled, where they are at hand."""

import pytest

from tests.corpora import autoreply, bounces
from tests.corpora.place import corpora, is_known

SISIMAI = corpora() / "bounces/sisimai"


@pytest.fixture(scope="module")
def score() -> bounces.Score:
    if not (SISIMAI / "expected.jsonl").exists():
        pytest.skip(f"{SISIMAI} is not there; POSTJET_CORPORA names the folder of corpora")
    return bounces.score(SISIMAI, bounces.labels(SISIMAI))


@pytest.mark.parametrize("what", bounces.WANTED)
def test_bounces(score: bounces.Score, what: str) -> None:
    assert score.asked[what]
    wrong = [text for text in score.wrong if text.startswith(f"{what}:")]
    known = is_known(SISIMAI / "expected.jsonl", bounces.DIGEST)
    assert score.share(what) >= (bounces.REACHED if known else bounces.WANTED)[what], wrong


def test_auto_replies() -> None:
    if not (corpora() / "autoreply/cases.jsonl").exists():
        pytest.skip(f"{corpora() / 'autoreply'} is not there; POSTJET_CORPORA names the folder of corpora")
    found = autoreply.score(corpora())
    assert found.asked
    assert found.wrong == []
