"""Auto-replies and what looks like them, with expected answers: how many ``dsn.parse`` tells apart."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from dsn.parse import Kind, parse

#: What the labels say, by their first word. Nobody knows of ``not-autoreply`` what it is instead.
_MACHINES = (Kind.AUTOREPLY, Kind.CHALLENGE)


class Result(NamedTuple):
    """Answers that were right, all that were asked, those without a mail; and what was wrong."""

    right: int
    asked: int
    absent: int
    wrong: list[str]


def score(corpora: Path) -> Result:
    """How the cases are read; those that name a file are asked where it is there."""
    right = asked = absent = 0
    wrong = []
    for line in (corpora / "autoreply/cases.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        message = _message(corpora, case)
        if message is None:
            absent += 1
            continue
        feedback = parse(message)
        asked += 1
        if _is_right(case["expect"], feedback.kind):
            right += 1
        else:
            wrong.append(f"{case} read as {feedback.kind} {feedback.rule}")
    return Result(right, asked, absent, wrong)


def _message(corpora: Path, case: dict[str, Any]) -> bytes | None:
    if "file" not in case:
        head = "".join(f"{name}: {value}\r\n" for name, value in case["headers"])
        return f"{head}\r\n{case['body']}\r\n".encode()
    name = Path(case["file"]).name
    found = next(iter(sorted(corpora.rglob(name))), None)
    return found.read_bytes() if found else None


def _is_right(expected: str, kind: Kind) -> bool:
    if expected == "autoreply":
        return kind == Kind.AUTOREPLY
    if "challenge" in expected:
        return kind == Kind.CHALLENGE
    if expected.startswith("not-bounce"):
        return kind in _MACHINES
    return kind not in _MACHINES


def table(corpora: Path) -> list[str]:
    """Lines for people."""
    found = score(corpora)
    absent = f" ({found.absent} more name files that are not there)" if found.absent else ""
    share = found.right / max(1, found.asked)
    return [f"autoreply, all       kind  {found.right:>23} of {found.asked:<4} {share:7.1%}   wanted 100%{absent}"]
