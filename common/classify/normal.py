"""A reply's words without what differs from one to the next, so that equal ones are equal."""

import contextlib
import re
import unicodedata

#: Characters of a text that are looked at; what matters is said in the first lines.
MAX_TEXT = 1500

# each begins only where a token begins, so that the time is linear in the text
_ADDRESS = re.compile(
    r"(?:(?<![^\s<>()\[\]\"',;:=])|(?<=\.{3}))(?:(?!\.{3})[^\s<>()\[\]\"',;:=@])++"
    r"@(?:(?!\.{3})[^\s<>()\[\]\"',;:])*+"
)  # "..." is not in an address but beside it
_CODES = re.compile(r"(?<![\w.])[45]\d\d[ -](?:#?[45]\.\d{1,3}\.\d{1,3}(?![\d.]))?|\(?#[45]\.\d{1,3}\.\d{1,3}\)?")
_IP = re.compile(
    r"(?<![^\W_])(?<!\.)\d{1,3}(?:\.\d{1,3}){3}(?!\.?[^\W_])"
    r"|(?<![\w:])[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}(?![\w:])"
)
_TIME = re.compile(r"(?<![\w:])\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?z?(?![\w:])")
_ID = re.compile(r"(?<![\w+/=-])(?=[a-z_+/=-]{0,40}\d)[\w+=-]{12,}|(?<!\w)\d{5,}(?!\w)")
_NOT = re.compile(r"\b(?:(can)(?:not|'?t)|(do|does|did|is|was|are|were|has|have|had|could|would|should)n'?t)\b")

#: Letters that Unicode does not take apart.
_PLAIN = str.maketrans({"\u2019": "'", "\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00df": "ss"})


def fold(text: str) -> str:
    """Without accents: servers write French with and without. UTF-8 that was read as Latin-1 is put right."""
    if text.isascii():
        return text
    with contextlib.suppress(UnicodeError):
        text = text.encode("latin-1").decode()
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return "".join(c for c in plain if not unicodedata.combining(c))


def normal(text: str) -> str:
    """In lower case, spaces single, ``not`` a word, without accents, addresses, codes, times, long numbers and ids."""
    text = fold(text[:MAX_TEXT]).lower()
    if "@" in text:
        text = _ADDRESS.sub("@", text)
    text = _CODES.sub(" ", text)
    text = _IP.sub("ip", text)
    text = _TIME.sub("#", text)
    text = _ID.sub("#", text)
    text = _NOT.sub(r"\1\2 not", text)
    return " ".join(text.replace("_", " ").split())
