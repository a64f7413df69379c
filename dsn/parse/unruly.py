"""flufl.bounce, of GNU Mailman: what its detectors know of mail systems that our own rules do not find a recipient in.

It takes the mail apart with the standard library and tells addresses only, so it sees the beginning of few mails.
"""

from email import message_from_bytes
from email.policy import compat32

from flufl.bounce import all_failures

from dsn.parse import reply
from dsn.parse.bounce import Bounce, outcome
from dsn.parse.mime import Part
from dsn.parse.result import Recipient

#: Bytes that it is shown, and recipients that are believed.
SHOWN, MAX_RECIPIENTS = 64_000, 100


def read(message: bytes, root: Part, words: str) -> Bounce | None:
    """The recipients that it finds in a mail that looks like a bounce; None where it finds none."""
    if not outcome(root, words):
        return None
    try:
        temporary, permanent = all_failures(message_from_bytes(message[:SHOWN], policy=compat32))
    except Exception:  # of a detector, on a mail that it was not made for: then it does not know it either
        return None
    text = reply.one_line(words)
    said = reply.codes(text)
    found = [
        Recipient(address, action, "", "", *said, text)
        for addresses, action in ((permanent, "failed"), (temporary, "delayed"))
        for address in sorted(one.decode("latin-1") for one in addresses)
    ]
    return Bounce("flufl", tuple(found[:MAX_RECIPIENTS])) if found else None
