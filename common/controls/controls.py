"""Which order an entry is under: found by one matcher of each order, so that a hundred cost little more than one."""

from collections.abc import Callable, Iterable

from common.controls.control import Action, Control, headers, senders
from common.entry import Entry

#: Matchers, the most telling first, and what an entry offers to each.
_KEYS: dict[str, Callable[[Entry], Iterable[str]]] = {
    "id": lambda entry: (entry.submission, entry.id),
    "campaign": lambda entry: (entry.campaign,),
    "tag": lambda entry: entry.tags,
    "header": headers,
    "sender": senders,
    "domain": lambda entry: (entry.domain,),
    "pool": lambda entry: (entry.pool,),
}


class Controls:
    """A set of orders; does not change."""

    def __init__(self, orders: Iterable[Control] = ()) -> None:
        indexes: dict[str, dict[str, list[Control]]] = {}
        for order in sorted(orders, key=_rank):
            name = next(name for name in _KEYS if getattr(order.match, name))
            indexes.setdefault(name, {}).setdefault(getattr(order.match, name), []).append(order)
        self._indexes = [(_KEYS[name], index) for name, index in indexes.items()]

    def match(self, entry: Entry) -> Control | None:
        """The order that an entry is under. A stop goes before a pause, then the older one."""
        if not self._indexes:
            return None
        found = (
            order
            for offers, index in self._indexes
            for key in offers(entry)
            for order in index.get(key, ())
            if order.match.covers(entry)
        )
        return min(found, key=_rank, default=None)


def _rank(order: Control) -> tuple[bool, float, str]:
    return order.action is not Action.STOP, order.since, order.id
