"""How well replies that were collected elsewhere are classified: ``corpora/replies/replies.jsonl``.

``make corpora`` prints ``table()``, and ``python -m tests.corpora.replies --misses`` what is wrong. A hash of the text
says in which part a reply is:

- ``first half``: seen before the first rule was written;
- ``third quarter``: not seen until the rules were there (70 % right then), then used to make them more general;
- ``last quarter``: not looked at until the rules had been made general with replies found elsewhere (81.9 % of its
  classes right before that, 86.7 % after it, which is what to expect of other replies); read then, for real faults.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.classify.classifier import Verdict
from common.classify.reading import classify
from tests.corpora.place import corpora

FILE = corpora() / "replies/replies.jsonl"

#: Their coarse class to ours: what is one to them, we split. ``ambiguous`` and ``unmapped`` are left out.
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
#: Those that are hard, as far as the words are no 4xx: no mail will ever arrive.
HARD = ("invalid_recipient", "bad_domain")
PARTS = ("first half", "third quarter", "last quarter")
#: What has to be right of any file, as a share, and what was reached on the one whose digest begins so. More of
#: temporary or permanent is not in the words: where the labels say otherwise than their own codes, nobody can know it.
WANTED = {"class": 0.85}
DIGEST = "da266bde27d0"
REACHED = {"class": 0.90, "hard or soft": 0.96, "temporary or permanent": 0.935, "where action and code agree": 0.99}
#: What a source says that is done with the delivery.
_PERMANENT = {"failed": True, "reject": True, "delayed": False, "defer": False}
#: Codes that the labeller made up.
_PSEUDO = re.compile(r"[45]\.0\.9\d\d")


@dataclass(frozen=True, slots=True)
class Scored:
    """A row of the file, and what we say of it."""

    row: dict[str, Any]
    verdict: Verdict
    at_rcpt: Verdict
    """As the answer to RCPT, which is where hard ones are given."""

    @property
    def part(self) -> str:
        """One of PARTS."""
        bits = hashlib.sha256(self.row["text"].encode()).digest()[0]
        return PARTS[0 if bits & 1 else 1 if bits & 2 else 2]

    @property
    def class_is_right(self) -> bool | None:
        """None: it has no class that could be compared."""
        ours = CLASSES.get(self.row["coarse"])
        return None if ours is None else self.verdict.bounce_class in ours

    @property
    def type_is_right(self) -> bool | None:
        """Hard or soft; None: its class has both or cannot be compared, or it is a 4xx, which is always soft."""
        if self.row["coarse"] not in CLASSES or self.row["coarse"] == "inactive_mailbox" or not self.verdict.permanent:
            return None
        return (self.at_rcpt.bounce_type == "hard") == (self.row["coarse"] in HARD)

    @property
    def permanence_is_right(self) -> bool | None:
        """Temporary or permanent; None: the source does not say, or is ambiguous.

        ``defer`` is a rule set's advice what to make of a 5xx (another source address may get in), which is our soft.
        The others are what became of the delivery, which is up to the codes.
        """
        action = self.row.get("action")
        if self.row["coarse"] == "ambiguous":
            return None
        if action not in _PERMANENT:
            said = self.row.get("permanent"), self.row.get("temporary")
            return self.verdict.permanent == said[0] if True in said else None
        if action == "defer":
            return self.verdict.bounce_type == "soft"
        return self.verdict.permanent == _PERMANENT[action]

    @property
    def contradicts_itself(self) -> bool:
        """The source's action is not what its own code says: a 4xx on which a delivery ended, say, after its last try.

        Whether it was the last is not in the words.
        """
        code = str(self.row.get("replycode") or "") or self.row.get("enhanced") or self.row["text"]
        expected = {"failed": "5", "reject": "5", "delayed": "4"}.get(self.row.get("action") or "")
        return bool(expected) and code[:1] in ("4", "5") and code[:1] != expected


def scored() -> list[Scored]:
    """All rows: as in session where a code is beside the text, else as of a report."""
    rows = map(json.loads, FILE.read_text("utf-8").splitlines())
    return [Scored(row, _verdict(row), _verdict(row, "rcpt")) for row in rows]


def _verdict(row: dict[str, Any], phase: str = "") -> Verdict:
    enhanced = row.get("enhanced") or ""
    known = "" if _PSEUDO.fullmatch(enhanced) else enhanced
    return classify(int(row.get("replycode") or 0), known, row["text"], reported=phase)


def shares(rows: Sequence[Scored]) -> dict[str, tuple[int, int]]:
    """Of each question the answers that are right, and all that can be told to be right or wrong."""
    answers = {
        "class": [row.class_is_right for row in rows],
        "hard or soft": [row.type_is_right for row in rows],
        "temporary or permanent": [row.permanence_is_right for row in rows],
        "where action and code agree": [row.permanence_is_right for row in rows if not row.contradicts_itself],
    }
    return {what: (some.count(True), len(some) - some.count(None)) for what, some in answers.items()}


def table(rows: Sequence[Scored] | None = None) -> list[str]:
    """Lines for people."""
    rows = scored() if rows is None else rows
    lines = []
    for part in (*PARTS, "all"):
        found = shares([row for row in rows if part in (row.part, "all")])
        lines += [
            f"replies  {part:<14}{what:<30}{right:>4} of {of:<4}{100 * right / max(1, of):6.1f} %"
            for what, (right, of) in found.items()
        ]
    decided = Counter(row.verdict.rule for row in rows)
    once = sorted(rule for rule, count in decided.items() if rule and count == 1)
    lines.append(f"unclassified: {decided['']} of {len(rows)}; {len(decided) - 1} rules decided, of one reply alone:")
    return [*lines, f"  {', '.join(once)}"]


def main() -> None:
    """Print the figures, and with ``--misses`` what is wrong."""
    rows = scored()
    print("\n".join(table(rows)))
    for row in rows if "--misses" in sys.argv else ():
        if row.class_is_right is False:
            said = row.verdict
            print(f"{row.row['coarse']:<22}{said.bounce_class:<18}{said.rule:<22}{row.row['text'][:200]}")


if __name__ == "__main__":
    main()
