"""What the data folder may hold."""

import shutil
from pathlib import Path

import pytest

from master import data_dir


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose queue has 80 kB, on a disk with 100 kB left."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "1.blk").write_bytes(bytes(81920))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    return tmp_path


def test_store_limit(folder: Path) -> None:
    assert data_dir.store_limit(folder, 150_000) == 150_000
    assert data_dir.store_limit(folder, 10**9) == 81920 + 80_000
    assert data_dir.store_limit(folder, 50_000) == 102_400  # or what is inside could never be finished


def test_obstacle(folder: Path) -> None:
    assert data_dir.obstacle(folder, 100_000) == ""
    assert data_dir.obstacle(folder, 100_001) == "only 100.0 kB free of 100.0 kB that it takes"
    assert data_dir.obstacle(folder / "none", 1) == "No such file or directory"
    assert not list(folder.glob(".writable*"))
