"""Replies as reports quote them: code, enhanced code, phase and words found within a text."""

import re
from typing import NamedTuple

#: A code alone is one at the beginning, or where somebody is quoted.
_CODE = re.compile(
    r"(?<![\w.])([45]\d\d)[ -]#?([45]\.\d{1,3}\.\d{1,3})(?![\d.])"
    r"|(?:^|said: |reply: |(?:[:;>\[('\"=]|<<<) ?)([45]\d\d)(?=[ :-])"
)
#: A text that begins with a code may have more of them, of replies one after the other.
_CODES = re.compile(rf"{_CODE.pattern}|(?<= )(4[25]\d|5[0-5]\d)(?= [A-Za-z<])")
_ENHANCED = re.compile(r"(?<![\w.])#?([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
_TO = r"(?:in reply to|after|to our|our|following|response to|sending) (?:the )?"
_PHASES = {
    "mail": re.compile(_TO + "mail ?from|but sender was rejected", re.IGNORECASE),
    "rcpt": re.compile(
        _TO + r"rcpt ?to|rcpt to: ?<(?![^<>]{0,320}>\W*(?:\w{1,10}\W+)?[23]\d\d\b)"  # which is no refusal
        r"|does not like recipient|\[rcpt_to\]|\bsmtp:rcpt\b",
        re.IGNORECASE,
    ),
    "dot": re.compile(r"end of (?:the )?(?:data|message)|after (?:i sent the message|data)", re.IGNORECASE),
    "data": re.compile(_TO + "data command", re.IGNORECASE),
    "banner": re.compile("after initial connection|refused to talk to me", re.IGNORECASE),
    "ehlo": re.compile(_TO + "(?:ehlo|helo)", re.IGNORECASE),
}
#: What the host that reports says of the other and of the command, which are not the words of the one that refused.
_WRAPPERS = re.compile(
    r"\(in reply to [a-z ]{1,40}\)|after (?:mail from|rcpt to):<[^>]*>(?: size=\d+)?|did not like our [a-z ]{1,20}"
    r"|does not like (?:recipient|sender)|smtp error from remote (?:mail server|mailer)"
    r"|(?<!\w)host \S+ ?\[[^\]]*\]:?(?: said:)?|remote (?:host|server) said:|refused to talk to me:?",
    re.IGNORECASE,
)


#: What says of itself that it is for good, or that it is not, whatever code the last try got.
_FINAL = re.compile(
    r"permanent(?:ly)? (?:error|fail|fatal)|failed permanently|not going to try again|g[ai]v(?:e|en|ing) up\b"
    r"|retry time-?out exceeded|will not (?:be )?retr|no (?:further|more) (?:delivery )?attempts"
    r"|(?:will be|has been|was) (?:deleted|removed|discarded) from (?:the )?queue|(?:in|on) (?:the )?queue too long"
    r"|(?:message|delivery|retry|delivery time) (?:has |was )?expired",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"will (?:be )?retr(?:y|ied)|will-retry-until|still undelivered|attempts will continue|(?:has been|was) delayed"
    r"|will (?:keep|continue|try again)",
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
    final: bool | None
    """Whether it says itself that no further try follows; None: it does not say."""


def read(text: str, known: int = 0) -> Quoted:
    """Read a reply as it came, or a text that quotes one.

    Of several the one with the ``known`` code counts, else the first that is permanent. What only follows from it, as
    503 does where a recipient was refused and DATA sent all the same, counts last.
    """
    found = list((_CODES if text[:1] in ("4", "5") else _CODE).finditer(text))
    codes = [int(match[1] or match[match.lastindex or 0]) for match in found]
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
    final = False if _GOES_ON.search(text) else True if _FINAL.search(text) else None
    return Quoted(code, enhanced, phase_of(text), _WRAPPERS.sub(" ", said), _WRAPPERS.sub(" ", text), final)


def phase_of(text: str) -> str:
    """The phase of the session in which it was said, as some words tell it; ``""`` where they do not.

    Words that tell of RCPT and of what comes after it are about more than one try, or show all of a session.
    """
    phase = next((name for name, pattern in _PHASES.items() if pattern.search(text)), "")
    return "" if phase == "rcpt" and any(_PHASES[name].search(text) for name in ("dot", "data")) else phase


def _follows(match: re.Match[str]) -> bool:
    return "503" in match.groups() or (match[1], match[2]) == ("554", "5.5.1")
