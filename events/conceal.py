"""Rows in which recipients are hashed, also where texts, VERP senders, meta and tags quote them. No I/O.

What is hashed already stays as it is, so rows may go through here twice.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from common import event
from events.recipients import hashed

_ADDRESS = re.compile(r"[^\s<>()\[\]{},;:\"'`|=/@]+@\w[\w-]*(?:\.[\w-]+)+")
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
        for name, change in (("text", self._text), ("sender", self._sender), ("meta", self._text),
                             ("tags", self._text), ("campaign", self._text)):  # fmt: skip
            for i, value in enumerate(columns.get(name, ())):
                if value:
                    # who gave an order, and for which sender, stays
                    everybody = types[i] != event.Type.ADMIN
                    own = [one for one in (single[i], *_strings(several[i])) if one and isinstance(one, str)]
                    columns[name][i] = _each(value, lambda text: change(text, own, everybody))  # noqa: B023
        for name in ("recipient", "recipients"):
            if name in columns:
                columns[name] = [_each(value, self._hashed) for value in columns[name]]

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
        return _ADDRESS.sub(lambda match: hashed(self._key, match[0]), text) if "@" in text else text

    def _text(self, text: str, own: Sequence[str], everybody: bool) -> str:
        """Of ``own`` addresses the local part alone goes too: ``User ann unknown``."""
        lower = text.lower()
        for address in own:
            local, _, domain = address.rpartition("@")
            if not local or local.lower() not in lower:
                continue
            text = self._put(rf"{re.escape(local)}(?:@|=|%40){re.escape(domain)}", address, text)
            if len(local) >= (_FEW_DIGITS if local.isdigit() else _FEW):
                text = self._put(rf"{re.escape(local)}(?!@)", address, text)
        return self.text(text) if everybody else text

    def _sender(self, sender: str, own: Sequence[str], _: bool) -> str:
        """A sender's address stays, but for a recipient's within it."""
        for address in own:
            local, _at, domain = address.rpartition("@")
            if "=" in sender and local:
                sender = self._put(rf"{re.escape(local)}={re.escape(domain)}", address, sender)
        return sender

    def _put(self, pattern: str, address: str, text: str) -> str:
        return re.sub(rf"(?<![\w.]){pattern}(?![\w-])", self._hashed(address), text, flags=re.IGNORECASE)

    def _hashed(self, address: str) -> str:
        return hashed(self._key, address)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """A text, or each of several, or each value of a map; what is none of them stays as it is."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each(one, change) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(one, change) for one in value]
    return value


def _strings(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()
