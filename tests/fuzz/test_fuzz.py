"""A few seconds of what ``make fuzz`` does for an hour."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.fuzz.__main__ import Campaign


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


async def test_ten_seconds() -> None:
    campaign = Campaign("ci")
    await campaign.run(10)
    assert campaign.findings == []
    assert campaign.sessions > 100
