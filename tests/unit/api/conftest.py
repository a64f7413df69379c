"""What the role api is started with."""

from pathlib import Path

import pytest
from api_support import Start
from support import Nats


@pytest.fixture
def start(nats: Nats, tmp_path: Path) -> Start:
    return Start(nats, tmp_path)
