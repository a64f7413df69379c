"""Rows in which recipients are hashed, also where texts, VERP senders, meta and tags quote them. No I/O.

What is hashed already stays as it is, so rows may go through here twice.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from common import event
from common.recipients import bare, hashed, lower

#: What may be a local part, and the address that it begins: each is looked at once, so the time is linear in the text.
_ADDRESS = re.compile(r"[^\s<>()\[\]{},;:\"'`|=/@]++(@\w[\w-]*+(?:\.[\w-]++)++)?")
#: Local parts of fewer characters, or digits, are words of the language, or codes.
_FEW, _FEW_DIGITS = 3, 6


class Concealer:
    """Hashes recipients with a key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def columns(self, columns: dict[str, list[Any]]) -> None:
        """Change the columns of some rows, those of them that are there; values of wrong types stay as they are."""
        rows = len(next(iter(columns.values()), ()))
        single, several = columns.get("recipient", [""] * rows), columns.get("recipients", [()] * rows)
        types = columns.get("type", [""] * rows)
        own = [[one for one in (single[i], *_strings(several[i])) if one and isinstance(one, str)] for i in range(rows)]
        for name, change in (("text", self._text), ("sender", self._sender), ("meta", self._text)):
            for i, value in enumerate(columns.get(name, ())):
                if value:
                    # who gave an order, and for which sender, stays
                    columns[name][i] = _each(value, change, own[i], types[i] != event.Type.ADMIN)
        for name, every in (("tags", self.text), ("campaign", self.text), ("recipient", self._hashed),
                            ("recipients", self._hashed)):  # fmt: skip
            if name in columns:
                columns[name] = [_each(value, every) if value else value for value in columns[name]]

    def message(self, body: bytes) -> bytes:
        """A message of EVENTS; one that cannot be read as it is."""
        try:
            rows, columns = event.unpack_columns(body)
        except ValueError:
            return body
        self.columns(columns)
        return event.pack_columns(rows, columns)

    def text(self, text: str) -> str:
        """A text without any address."""
        if "@" not in text:
            return text
        return _ADDRESS.sub(lambda match: hashed(self._key, match[0]) if match[1] else match[0], text)

    def _text(self, text: str, own: Sequence[str], everybody: bool) -> str:
        """Of ``own`` addresses the local part alone goes too: ``User ann unknown``."""
        for address in own:
            local, _, domain = bare(address).rpartition("@")
            if not local or local not in lower(text):
                continue
            for joint in ("@", "=", "%40"):
                text = _replaced(text, f"{local}{joint}{domain}", self._hashed(address))
            if len(local) >= (_FEW_DIGITS if local.isdigit() else _FEW):
                text = _replaced(text, local, self._hashed(address), besides="@")
        return self.text(text) if everybody else text

    def _sender(self, sender: str, own: Sequence[str], _: bool) -> str:
        """A sender's address stays, but for a recipient's within it (VERP)."""
        for address in own:
            if "=" in sender and "@" in address:
                sender = _replaced(sender, "=".join(bare(address).rsplit("@", 1)), self._hashed(address))
        return sender

    def _hashed(self, address: str) -> str:
        return hashed(self._key, address)


def _replaced(text: str, word: str, by: str, besides: str = "") -> str:
    """``by`` wherever ``word``, in lower case, is in a text and in no longer word, nor before one of ``besides``."""
    if word not in (small := lower(text)):
        return text
    parts, begin, at = [], 0, small.find(word)
    while at >= 0:
        end = at + len(word)
        before, behind = text[at - 1 : at], text[end : end + 1]
        if not (before.isalnum() or before in ("_", ".") or behind.isalnum() or behind in ("_", "-", *besides)):
            parts += [text[begin:at], by]
            begin = end
        at = small.find(word, end)
    return "".join([*parts, text[begin:]])


def _each(value: Any, change: Callable[..., str], *more: Any) -> Any:
    """A text, or each of several, or each value of a map; what is none of them stays as it is."""
    if isinstance(value, str):
        return change(value, *more)
    if isinstance(value, dict):
        return {key: _each(one, change, *more) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(one, change, *more) for one in value]
    return value


def _strings(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()
