"""The RFC index and the code agree."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROLES = ("common", "smtpd_ingress", "outbound", "events", "api", "dsn", "master")
_CITED = re.compile(r"RFC (\d{3,5})")
_ROW = re.compile(r"^\| ([\d, ]+) \|.*\| ([^|]+) \|$", re.MULTILINE)


def cited() -> dict[str, set[str]]:
    """Number to the files that cite it."""
    found: dict[str, set[str]] = {}
    for role in ROLES:
        for file in (ROOT / role).rglob("*.py"):
            for number in _CITED.findall(file.read_text()):
                found.setdefault(number, set()).add(str(file.relative_to(ROOT)))
    return found


def rows() -> dict[str, set[str]]:
    """Number to the files that the index names."""
    found = {}
    for numbers, where in _ROW.findall((ROOT / "docs/rfcs.md").read_text()):
        for number in numbers.split(", "):
            found[number] = set(re.findall(r"`([^`]+)`", where))
    return found


def test_what_the_code_cites_has_a_row() -> None:
    assert cited().keys() - rows().keys() == set()


def test_the_files_of_a_row_cite_it() -> None:
    code = cited()
    wrong = {number: files - code.get(number, set()) for number, files in rows().items()}
    assert {number: files for number, files in wrong.items() if files} == {}
    assert all(rows().values()), "a row names no file"
