"""docs/queue-states.md says what the crash tests check: each row names a test, and its figures are that test's."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from crash_support import Row

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "queue-states.md"


def rows() -> list[list[str]]:
    """The cells of every row that ends with the name of a test."""
    lines = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip().strip("`") for cell in line] for line in lines]
    return [row for row in cells if row[-1].startswith("test_")]


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = ("ingress", "worker", "feedback", "mover", "broker", "recorder")
MODULES = {name: load(TESTS / "fault" / f"test_crash_{name}.py") for name in NAMES}
#: Tests of rows, and the module of each.
ROWS = {
    "test_taking_mail": "ingress", "test_delivering": "worker", "test_feedback": "feedback", "test_moving": "mover",
    "test_broker": "broker",
}  # fmt: skip
CASES = {
    f"{test}[{row.name}]": row
    for test, module in ROWS.items()
    for row in MODULES[module].ROWS
}


def test_every_case_has_its_row() -> None:
    recording = {f"test_recording[{name}]" for name in MODULES["recorder"].POINTS}
    named = [row[-1] for row in rows()]
    assert len(named) == len(set(named))
    assert {name for name in named if name in CASES or name.startswith("test_recording")} == {*CASES, *recording}


def test_every_other_row_names_a_test() -> None:
    source = "\n".join(file.read_text() for file in TESTS.rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)(?:\[[^`]*\])?`", PAGE.read_text())
    assert len(named) > len(CASES)
    for name in named:
        assert f"def {name}(" in source


@pytest.mark.parametrize("name", CASES)
def test_a_row_says_what_its_test_checks(name: str) -> None:
    case: Row = CASES[name]
    [cells] = [row for row in rows() if row[-1] == name]
    said = ["" if cell == "–" else cell for cell in cells]
    assert [said[-3].partition(",")[0], said[-2]] == [str(case.arrives), case.events]
    if case.left:
        assert said[1:4] == [case.left.entries, str(case.left.contents or ""), case.left.events]


@pytest.mark.parametrize("name", MODULES["recorder"].POINTS)
def test_a_row_of_the_recorder_says_where_the_rows_are(name: str) -> None:
    [cells] = [row for row in rows() if row[-1] == f"test_recording[{name}]"]
    assert cells[0] == MODULES["recorder"].POINTS[name][1]
