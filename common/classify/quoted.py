"""Replies as reports quote them: code, enhanced code and phase found within a text."""

import re
from typing import NamedTuple

_BOTH = re.compile(r"(?<![\w.])([45]\d\d)[ -]#?([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
_ENHANCED = re.compile(r"(?<![\w.])#?([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
#: A code alone is one at the beginning, or where somebody is quoted.
_CODE = re.compile(r"(?:^|said: |reply: |[:;>\[('\"=] ?)([45]\d\d)(?=[ :-])")
_PHASES = {
    "mail": re.compile(r"(?:in reply to|after|to our|following|response to|sending) (?:the )?mail ?from", re.IGNORECASE),
    "rcpt": re.compile(r"(?:in reply to|after|to our|our|following|response to|sending) (?:the )?rcpt ?to|rcpt to:", re.IGNORECASE),
    "dot": re.compile(r"end of data|after (?:i sent the message|data)", re.IGNORECASE),
    "data": re.compile(r"(?:in reply to|after|following) (?:the )?data command", re.IGNORECASE),
    "ehlo": re.compile(r"(?:in reply to|after) (?:the )?(?:ehlo|helo)", re.IGNORECASE),
}  # fmt: skip
#: What the host that reports says of the command, which are not the words of the one that refused.
_WRAPPERS = re.compile(
    r"\(in reply to [a-z ]{1,40}\)|after (?:mail from|rcpt to):<[^>]*>(?: size=\d+)?|did not like our [a-z ]{1,20}"
    r"|does not like (?:recipient|sender)",
    re.IGNORECASE,
)


class Quoted(NamedTuple):
    """What was found; 0 and ``""`` where it was not."""

    code: int
    enhanced: str
    phase: str
    text: str
    """Without what the reporting host says of the command."""


def read(text: str) -> Quoted:
    """Read a reply as it came, or a text that quotes one; of several the first that is permanent counts."""
    pairs = [(int(code), enhanced) for code, enhanced in _BOTH.findall(text)]
    code, enhanced = next((pair for pair in pairs if pair[0] >= 500), pairs[0] if pairs else (0, ""))
    if not code:
        codes = [int(code) for code in _CODE.findall(text)]
        code = next((code for code in codes if code >= 500), codes[0] if codes else 0)
    if not enhanced or enhanced.endswith(".0.0"):
        others = [one for one in _ENHANCED.findall(text) if not one.endswith(".0.0")]
        enhanced = next((one for one in others if not code or one[0] == str(code)[0]), enhanced)
    phase = next((name for name, pattern in _PHASES.items() if pattern.search(text)), "")
    return Quoted(code, enhanced, phase, _WRAPPERS.sub(" ", text))
