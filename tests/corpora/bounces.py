"""Real bounces with expected answers: how many of them ``dsn.parse`` reads as they should be.

Scored as the corpora's README says. Files with a delivery-status part: recipient, action and status are the literal
fields. The others, where all labellers agree: that it is a bounce (or a complaint, an auto-reply), the recipients, hard
or soft, the class. Nobody is asked for what is not in the file.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.classify.reading import classify
from dsn.parse import Feedback, Kind, parse
from dsn.parse.fields import typed_address

#: Their reasons that are no bounce's.
_KINDS = {"feedback": (Kind.COMPLAINT, Kind.NOTE, Kind.UNSUBSCRIBE), "vacation": (Kind.AUTOREPLY,)}
#: What has to be right, as a share.
WANTED = {
    "dsn recipient": 1.0, "dsn action": 1.0, "dsn status": 1.0, "kind": 1.0, "recipient": 0.98,
    "hard or soft": 0.95, "class": 0.85,
}  # fmt: skip

#: What was reached on the files whose labels begin with this digest; of others nobody knows more than what is wanted.
DIGEST = "8c404de62b4f"
REACHED = {**WANTED, "recipient": 0.99, "hard or soft": 0.955, "class": 0.86}

#: What their reasons mean in our classes (docs/bounce-classes.md); any of these is right.
CLASSES = {
    "userunknown": {"invalid-recipient"},
    "hostunknown": {"bad-domain"},
    "hasmoved": {"moved"},
    "notaccept": {"bad-domain", "policy", "unclassified", "routing"},
    "mailboxfull": {"mailbox-full"},
    "suspend": {"inactive-mailbox"},
    "expired": {"network", "expired", "no-answer", "dns-failure", "routing"},
    "networkerror": {"network", "expired", "no-answer", "dns-failure", "routing"},
    "blocked": {"reputation", "blocklist"},
    "badreputation": {"reputation", "blocklist"},
    "requireptr": {"reputation", "blocklist", "authentication"},
    "authfailure": {"authentication"},
    "spamdetected": {"content"},
    "virusdetected": {"virus"},
    "contenterror": {"content", "protocol"},
    "policyviolation": {"policy", "unclassified", "authentication"},
    "rejected": {"policy", "unclassified", "bad-sender"},
    "filtered": {"policy", "unclassified"},
    "norelaying": {"relaying"},
    "securityerror": {"policy", "unclassified", "relaying", "authentication", "tls"},
    "systemerror": {"system-trouble"},
    "systemfull": {"system-trouble"},
    "mailererror": {"system-trouble", "unclassified"},
    "mesgtoobig": {"message-too-large"},
    "exceedlimit": {"message-too-large"},
    "toomanyconn": {"rate-limited"},
    "speeding": {"rate-limited"},
    "ratelimited": {"rate-limited"},
    "syntaxerror": {"protocol", "invalid-recipient"},
    "notcompliantrfc": {"protocol", "content", "policy"},
    "failedstarttls": {"tls"},
    "onhold": {"unclassified"},
    "undefined": {"unclassified"},
}


@dataclass
class Score:
    """How many answers of a sort were right."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What was asked, in which file, what was answered."""

    def tell(self, what: str, right: bool, text: str) -> None:
        """One answer."""
        self.asked[what] += 1
        self.right[what] += right
        if not right:
            self.wrong.append(f"{what}: {text}")

    def share(self, what: str) -> float:
        """Of the answers of a sort those that were right; 1 where nothing was asked."""
        return self.right[what] / self.asked[what] if self.asked[what] else 1.0


def labels(folder: Path) -> list[dict[str, Any]]:
    """The expected answers, a table for each file."""
    lines = (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def looked_at(table: dict[str, Any]) -> bool:
    """Whether a file is of the half with which the rules were made."""
    return hashlib.sha256(table["file"].encode()).digest()[0] & 1 == 0


def score(folder: Path, tables: Iterable[dict[str, Any]]) -> Score:
    """How these files of a folder are read."""
    found = Score()
    for table in tables:
        feedback = parse((folder / table["file"]).read_bytes())
        if table["dsn_fields"]:
            _standard(found, table, feedback)
        elif table["label_agreement"] == "all":
            _other(found, table, feedback)
    return found


def _standard(found: Score, table: dict[str, Any], feedback: Feedback) -> None:
    """Every group of literal fields has its recipient; where two have the same address, one each."""
    left = list(feedback.recipients)
    for fields in table["dsn_fields"]:
        expected = typed_address(fields.get("final-recipient") or fields.get("original-recipient") or "")
        action = (fields.get("action") or "").split()[:1]
        status = (fields.get("status") or "").split()[:1]
        same = [one for one in left if one.recipient == expected]
        same.sort(key=lambda one: ([one.action] == action) + ([one.status] == status), reverse=True)
        one = same[0] if same else None
        left = [other for other in left if other is not one]
        text = f"{table['file']}: {fields} read as {one or feedback.recipients or feedback.kind}"
        found.tell("dsn recipient", one is not None, text)
        if action:
            found.tell("dsn action", one is not None and one.action == action[0].lower(), text)
        if status:
            found.tell("dsn status", one is not None and one.status == status[0], text)


def _other(found: Score, table: dict[str, Any], feedback: Feedback) -> None:
    told = feedback.recipients
    read = [(one.recipient, one.action, one.text[:80]) for one in told]
    text = f"{table['file']}: {feedback.kind} {feedback.rule} {read}"
    expected = table["recipients"]
    kinds = _KINDS.get(expected[0]["reason"])
    if kinds:
        found.tell("kind", feedback.kind in kinds, text)
        wanted = {one["recipient"].lower() for one in expected if one["recipient_in_raw"]}
        if wanted:
            found.tell("recipient", wanted <= {one.lower() for one in feedback.about}, f"{text} {feedback.about}")
        return
    bounced = any(one.failed for one in told)
    found.tell("kind", _is_right(expected, feedback, bounced), text)
    by_address = {one.recipient.lower(): one for one in told}
    for label in expected:
        one = by_address.get(label["recipient"].lower())
        found.tell("recipient", one is not None and len(told) == len(expected), f"{text} not {label['recipient']}")
        if one is not None and label["reason"] in CLASSES:
            class_, type_, *_ = classify(one.code, one.enhanced_code, one.text, reported=one.phase)
            hard = "hard" if label["hardbounce"] else "soft"
            found.tell("hard or soft", type_ == hard, f"{text} {type_} {class_} not {hard} {label['reason']}")
            found.tell("class", class_ in CLASSES[label["reason"]], f"{text} {class_} not {label['reason']}")


def _is_right(expected: list[dict[str, Any]], feedback: Feedback, bounced: bool) -> bool:
    """Delivered is no bounce; what is labelled delayed may be either: their label says so of what expired too."""
    if feedback.kind != Kind.REPORT:
        return False
    actions = {label["action"] for label in expected}
    return not bounced if actions == {"delivered"} else bounced or "delayed" in actions


def table(folder: Path) -> list[str]:
    """Lines for people."""
    tables = labels(folder)
    lines = []
    for half, some in (
        ("looked at", [one for one in tables if looked_at(one)]),
        ("other half", [one for one in tables if not looked_at(one)]),
        ("all", tables),
    ):
        found = score(folder, some)
        for what, of in found.asked.items():
            wanted = f"   wanted {WANTED[what]:.0%}" if what in WANTED else ""
            lines.append(
                f"bounces, {half:<10}  {what:<24} {found.right[what]:>4} of {of:<4} {found.share(what):7.1%}{wanted}"
            )
    return lines
