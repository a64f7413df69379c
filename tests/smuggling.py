"""Sequences that some server takes for the end of data: a handful of our own, those of the corpus where it is."""

import json
from pathlib import Path

_CORPUS = Path("/work/shared/corpora/smtp/smuggling.json")
_OWN = tuple(
    text.encode()
    for text in (
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r\n.\n",
        "\r\n.\r",
        "\r\n.\r\r\n",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
        "\r\0\n.\r\n",
    )
)
_FOUND = json.loads(_CORPUS.read_text()) if _CORPUS.exists() else ()

#: Each once.
SEQUENCES = tuple(dict.fromkeys([*_OWN, *(bytes.fromhex(one["hex"]) for one in _FOUND)]))
EVIL = b"MAIL FROM:<evil@evil.test>\r\nRCPT TO:<evil@evil.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n"


def ends(sequence: bytes) -> bool:
    """Whether it really is the end of data (RFC 5321 4.1.1.4)."""
    return b"\r\n.\r\n" in sequence
