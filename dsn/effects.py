"""What a mail that came back leads to, beyond the rows that tell of it: who is suppressed. No I/O."""

from collections.abc import Sequence
from dataclasses import replace

from common.event import Event, Type
from common.suppression.rules import Rules
from common.suppression.suppression import Suppression
from dsn.history import Delivery
from dsn.matching import Match


def suppressed(rules: Rules, rows: Sequence[Event], match: Match, known: Delivery | None) -> Suppression | None:
    """Who gets no more mail; a soft bounce is one that is to be counted. ``rows`` are those of one mail.

    Nothing without proof: what only quotes a Message-ID anybody may have written, and it would harm others. Of a
    report on several recipients, as an alias has them, nothing unless all of them failed: the address still works.
    """
    if not known or not match.how.is_proof or not rows:
        return None
    if not known.sender:  # mail that has a token had one: it was erased, and "" would stand for everybody's mail
        return None
    first = rows[0]
    if first.type == Type.COMPLAINT:
        return rules.complained(_with_reason(first))
    if first.type == Type.UNSUBSCRIBED:
        return rules.unsubscribed(_with_reason(first))
    if first.type != Type.DSN or not all(row.bounce_type for row in rows):
        return None
    softest = min(rows, key=lambda row: row.bounce_type == "hard")
    return rules.bounced(softest)


def _with_reason(row: Event) -> Event:
    """Its reason and text as the text, which a suppression keeps."""
    return replace(row, text=f"{row.reason}: {row.text}" if row.text else row.reason)
