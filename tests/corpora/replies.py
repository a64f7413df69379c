"""How well replies that were collected elsewhere are classified: ``corpora/replies/replies.jsonl``.

One half, chosen by a hash of the text, was never looked at while the rules were written; both figures are printed.
``python -m tests.corpora.replies`` prints them, ``--misses`` what is wrong in the half that may be looked at.
"""

import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.classify.classifier import Verdict
from common.classify.reading import classify

FILE = Path(os.environ.get("POSTJET_CORPORA", "/work/shared/corpora")) / "replies/replies.jsonl"

#: Their coarse class to ours. What they call one, we split; ``ambiguous`` and ``unmapped`` are left out.
CLASSES = {
    "invalid_recipient": {"invalid-recipient", "moved"},
    "blocklist_reputation": {"blocklist", "reputation"},
    "mailbox_full": {"mailbox-full"},
    "authentication": {"authentication"},
    "expired_or_network": {"expired", "network", "no-answer", "dns-failure", "routing"},
    "policy": {"policy"},
    "bad_domain": {"bad-domain"},
    "remote_system": {"system-trouble"},
    "rate_limit": {"rate-limited", "greylisted"},
    "sender_rejected": {"bad-sender"},
    "spam_content": {"content"},
    "inactive_mailbox": {"inactive-mailbox"},
    "protocol_or_format": {"protocol", "unsupported"},
    "relay_denied": {"relaying"},
    "message_too_big": {"message-too-large"},
    "virus": {"virus"},
    "tls": {"tls"},
}
LEFT_OUT = ("ambiguous", "unmapped")
#: Codes that the labeller made up.
_PSEUDO = re.compile(r"[45]\.0\.9\d\d")


@dataclass(frozen=True)
class Reply:
    """A row of the file."""

    row: dict[str, Any]
    verdict: Verdict

    @property
    def seen(self) -> bool:
        """In the half that was looked at."""
        return bool(hashlib.sha256(self.row["text"].encode()).digest()[0] & 1)

    @property
    def has_class(self) -> bool:
        return self.row["coarse"] not in LEFT_OUT

    @property
    def class_is_right(self) -> bool:
        return self.verdict.bounce_class in CLASSES[self.row["coarse"]]

    @property
    def permanence(self) -> str:
        """What the source says of it: ``permanent``, ``temporary``, or ``""``."""
        action = self.row.get("action")
        return {"failed": "permanent", "reject": "permanent", "delayed": "temporary", "defer": "temporary"}.get(
            action or "", ""
        )

    @property
    def permanence_is_right(self) -> bool:
        """``defer`` is advice of a rule set on what to do with the address, so our ``soft``; the others are the
        outcome of the delivery."""
        if self.row["action"] == "defer":
            return self.verdict.bounce_type == "soft"
        return self.verdict.permanent == (self.permanence == "permanent")


def replies() -> list[Reply]:
    """All rows with what we say of them."""
    return [Reply(row, _verdict(row)) for row in map(json.loads, FILE.read_text("utf-8").splitlines())]


def _verdict(row: dict[str, Any]) -> Verdict:
    """As in session where the row has a code beside the text, else as of a report."""
    enhanced = row.get("enhanced") or ""
    return classify(int(row.get("replycode") or 0), "" if _PSEUDO.fullmatch(enhanced) else enhanced, row["text"])


def figures(rows: Iterable[Reply]) -> dict[str, tuple[int, int]]:
    """What is scored to how many are right, of how many."""
    rows = list(rows)
    classed = [row for row in rows if row.has_class]
    acted = [row for row in rows if row.permanence and row.row["coarse"] != "ambiguous"]
    return {
        "class": (sum(row.class_is_right for row in classed), len(classed)),
        "temporary or permanent": (sum(row.permanence_is_right for row in acted), len(acted)),
    }


def table() -> list[str]:
    """Lines for people."""
    rows = replies()
    lines = []
    for half, some in (
        ("looked at", [row for row in rows if row.seen]), ("held out", [row for row in rows if not row.seen]), ("all", rows)
    ):  # fmt: skip
        for what, (right, of) in figures(some).items():
            lines.append(f"replies, {half:<10} {what:<24} {right:>4} of {of:<4} {100 * right / max(1, of):5.1f} %")
    decided = Counter(row.verdict.rule for row in rows)
    lines.append(f"replies, unclassified: {decided['']} of {len(rows)}; rules that decided: {len(decided) - 1}")
    return lines


def main() -> None:
    """Print the figures, and with ``--misses`` what is wrong."""
    print("\n".join(table()))
    if "--misses" in sys.argv:
        for reply in replies():
            if reply.seen and reply.has_class and not reply.class_is_right:
                print(f"{reply.row['coarse']:<22}{reply.verdict.bounce_class:<18}{reply.verdict.rule:<22}", reply.row["text"][:260])
    if "--permanence" in sys.argv:
        for reply in replies():
            if reply.seen and reply.permanence and not reply.permanence_is_right:
                print(reply.row["action"], reply.verdict[:2], reply.row.get("enhanced"), reply.row["text"][:200])


if __name__ == "__main__":
    main()
