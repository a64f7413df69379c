"""flufl.bounce, of GNU Mailman: what its detectors know of mail systems that our own rules do not find a recipient in.

It takes the mail apart with the standard library and tells addresses only, so it sees the beginning of few mails.
"""

import logging
from email import message_from_bytes
from email.policy import compat32

from flufl.bounce import all_failures

from dsn.parse import reply
from dsn.parse.bounce import Bounce, outcome
from dsn.parse.mime import Part
from dsn.parse.result import Recipient

#: Bytes that it is shown, and recipients that are believed.
SHOWN, MAX_RECIPIENTS = 64_000, 100

#: A traceback for each mail that a detector stumbles over would be the log of whoever sends these.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)


def read(message: bytes, root: Part, words: str) -> Bounce | None:
    """The recipients that it finds in a mail that looks like a bounce; None where it finds none."""
    if not outcome(root, words):
        return None
    try:
        temporary, permanent = all_failures(message_from_bytes(message[:SHOWN], policy=compat32))
    except Exception:  # version 6.0.0 raises IndexError for a mail without From; its other detectors are foreign too
        return None
    text = reply.one_line(words)
    said = reply.codes(text)
    found = [
        Recipient(address, action, "", "", *said, text)
        for addresses, action in ((permanent, "failed"), (temporary, "delayed"))
        for address in sorted(one.decode("latin-1") for one in addresses if b"@" in one)
    ]
    return Bounce("flufl", tuple(found[:MAX_RECIPIENTS])) if found else None
