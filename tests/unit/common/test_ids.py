from hypothesis import given
from hypothesis import strategies as st

from common.ids import DELIVERY, SUBMISSION, id_time, new_id, report_id, token


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_ids_sort_by_time(a: float, b: float) -> None:
    first, second = sorted((a, b))
    if int(first * 1000) < int(second * 1000):
        assert new_id(first) < new_id(second)


@given(st.floats(0, 4e9))
def test_an_id_tells_when_it_was_made(now: float) -> None:
    assert abs(id_time(new_id(now)) - now) <= 0.001


def test_ids_have_their_form_and_differ() -> None:
    ids = {new_id(1.0) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(SUBMISSION.fullmatch(identifier) for identifier in ids)
    assert DELIVERY.fullmatch(f"{ids.pop()}-12")


@given(st.text())
def test_a_token_fits_a_subject(text: str) -> None:
    assert token(text) == "-" if not text else token(text).isalnum()
    assert token(text) == token(text)


@given(st.floats(0, 4e9), st.integers(1, 999))
def test_the_id_of_a_report_comes_from_the_deliverys(now: float, number: int) -> None:
    submission = new_id(now)
    report = report_id(f"{submission}-{number}")
    assert SUBMISSION.fullmatch(report)
    assert report == report_id(f"{submission}-{number}")
    assert len({report, submission, report_id(f"{submission}-{number + 1}")}) == 3
    assert id_time(report) == id_time(submission)
