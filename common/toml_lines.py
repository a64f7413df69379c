"""Where tables begin in a TOML text, which ``tomllib`` does not tell."""

import re
import tomllib

_HEADER = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")


def array_lines(text: str) -> dict[str, list[int]]:
    """Name of an array of tables to the lines, from 1, of its headers ``[[name]]``, in their order.

    ``text`` is valid TOML. What looks like a header within a string or an array over several lines is none:
    the text from the last header to it is no TOML by itself.
    """
    found: dict[str, list[int]] = {}
    piece: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        match = _HEADER.match(line)
        if match and _is_whole("\n".join(piece)):
            piece = []
            if match[1]:
                found.setdefault(match[2].strip("\"'"), []).append(number)
        piece.append(line)
    return found


def _is_whole(piece: str) -> bool:
    try:
        tomllib.loads(piece)
    except tomllib.TOMLDecodeError:
        return False
    return True
