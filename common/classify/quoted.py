"""Replies as reports quote them: code, enhanced code, phase and words found within a text."""

import re
from typing import NamedTuple

#: A code alone is one at the beginning, or where somebody is quoted.
_CODE = re.compile(
    r"(?<![\w.])([45]\d\d)[ -]#?([45]\.\d{1,3}\.\d{1,3})(?![\d.])"
    r"|(?:^|said: |reply: |(?:[:;>\[('\"=]|<<<) ?)([45]\d\d)(?=[ :-])"
)
_ENHANCED = re.compile(r"(?<![\w.])#?([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
_TO = r"(?:in reply to|after|to our|our|following|response to|sending) (?:the )?"
_PHASES = {
    "mail": re.compile(_TO + "mail ?from|but sender was rejected", re.IGNORECASE),
    "rcpt": re.compile(_TO + "rcpt ?to|rcpt to:", re.IGNORECASE),
    "dot": re.compile(r"end of (?:the )?(?:data|message)|after (?:i sent the message|data)", re.IGNORECASE),
    "data": re.compile(_TO + "data command", re.IGNORECASE),
    "banner": re.compile("after initial connection|refused to talk to me", re.IGNORECASE),
    "ehlo": re.compile(_TO + "(?:ehlo|helo)", re.IGNORECASE),
}
#: What the host that reports says of the other and of the command, which are not the words of the one that refused.
_WRAPPERS = re.compile(
    r"\(in reply to [a-z ]{1,40}\)|after (?:mail from|rcpt to):<[^>]*>(?: size=\d+)?|did not like our [a-z ]{1,20}"
    r"|does not like (?:recipient|sender)|(?<!\w)host \S+ ?\[[^\]]*\]:?(?: said:)?|remote (?:host|server) said:",
    re.IGNORECASE,
)


class Quoted(NamedTuple):
    """What was found; 0 and ``""`` where it was not."""

    code: int
    enhanced: str
    phase: str
    said: str
    """The words that follow the code, up to another code; ``""`` where there is none."""
    text: str
    """All, without what the reporting host says of the other."""


def read(text: str, known: int = 0) -> Quoted:
    """Read a reply as it came, or a text that quotes one.

    Of several the one with the ``known`` code counts, else the first that is permanent. What only follows from it, as
    503 does where a recipient was refused and DATA sent all the same, counts last.
    """
    found = list(_CODE.finditer(text))
    codes = [int(match[1] or match[3]) for match in found]
    code, enhanced, said = 0, "", ""
    if codes:
        first = min(range(len(codes)), key=lambda i: (codes[i] != known, _follows(found[i]), codes[i] < 500))
        code, enhanced = codes[first], found[first][2] or ""
        ends = (match.start() for match, other in zip(found[first:], codes[first:], strict=True) if other != code)
        continued = any("-" in match[0] for match in found)  # codes stand between the words
        said = "" if continued else text[found[first].end() : next(ends, len(text))]
    if not enhanced or enhanced.endswith(".0.0"):
        others = [one for one in _ENHANCED.findall(said or text) if not one.endswith(".0.0")]
        enhanced = next((one for one in others if not code or one[0] == str(code)[0]), enhanced)
    phase = next((name for name, pattern in _PHASES.items() if pattern.search(text)), "")
    return Quoted(code, enhanced, phase, _WRAPPERS.sub(" ", said), _WRAPPERS.sub(" ", text))


def _follows(match: re.Match[str]) -> bool:
    return match[1] == "503" or match[3] == "503" or (match[1], match[2]) == ("554", "5.5.1")
