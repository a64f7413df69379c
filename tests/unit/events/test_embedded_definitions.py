"""Definitions that were cut off, as a process finds them that was killed before it could see to them."""

from pathlib import Path

import pytest

from events.embedded.definitions import Definitions

UUID = "18a19993-89ba-42b2-aa9f-dbc6c27f8787"
TABLE = f"ATTACH TABLE _ UUID '{UUID}'\n(\n    `a` String\n)\nENGINE = MergeTree\nORDER BY a\n"


def ended() -> None:
    raise AssertionError("nobody is to end the process")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("metadata", "metadata_dropped", "store/eb9/eb9132f0"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "metadata/postjet.sql").write_text("ATTACH DATABASE _ UUID 'eb9132f0'\nENGINE = Atomic\n")
    return tmp_path


@pytest.fixture
def table(folder: Path) -> Path:
    """A definition that was linked before a statement which wrote it again."""
    file = folder / "store/eb9/eb9132f0/events.sql"
    file.write_text(TABLE)
    with Definitions(folder, ended).written():
        pass
    file.unlink()  # the engine writes a new file
    return file


@pytest.mark.parametrize("left", ["", TABLE[:60]])
def test_what_was_there_is_put_back(folder: Path, table: Path, left: str) -> None:
    table.write_text(left)
    [line] = Definitions(folder, ended).mend()
    assert line == "store/eb9/eb9132f0/events.sql was cut off, the disk was full; it is as it was before"
    assert table.read_text() == TABLE
    assert not Definitions(folder, ended).mend()


def test_what_is_new_is_moved_aside(folder: Path) -> None:
    for name in ("events.sql", "mutation_3.txt"):
        (folder / "store/eb9/eb9132f0" / name).touch()
    lines = Definitions(folder, ended).mend()
    assert all("to be made anew" in line for line in lines)
    assert {file.name.rpartition(",")[2] for file in (folder / "definitions_set_aside").iterdir()} == {
        "events.sql", "mutation_3.txt",
    }  # fmt: skip
    assert not list(folder.glob("store/*/*/*"))


def test_what_the_engine_has_dropped_does_not_come_back(folder: Path, table: Path) -> None:
    table.touch()
    (folder / f"metadata_dropped/postjet._tmp_replace_41825.{UUID}.sql").touch()
    [line] = Definitions(folder, ended).mend()
    assert "moved to" in line
    assert not table.exists()


def test_whole_ones_stay(folder: Path, table: Path) -> None:
    table.write_text(TABLE + "COMMENT 'other'\n")
    with Definitions(folder, ended).written():
        pass
    assert not Definitions(folder, ended).mend()
    assert table.read_text().endswith("COMMENT 'other'\n")
