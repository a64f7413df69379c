"""Who is connected to a listener in this process, and who else may come in; without I/O.

Clients in the listener's networks are trusted: only ``max_connections`` limits them, of which a tenth is theirs
alone. Of strangers the one who has been silent for longest goes where another wants to come in.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from typing import Generic, TypeVar

from common.codes import TOO_MANY_CONNECTIONS, TOO_MANY_OF_CLIENT, TOO_OFTEN, Reply
from common.listener import Listener
from smtpd_ingress.guesses import network
from smtpd_ingress.rates import Rates

#: A network may have so many times what one client may.
NETWORK = 4
_MINUTE = 60.0

Who = TypeVar("Who")


class Clients(Generic[Who]):
    """The books of one listener; ``Who`` is whatever stands for a connection."""

    def __init__(self, listener: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._rates = listener, Rates(clock)
        self._inside: dict[Who, tuple[str, ...]] = {}
        """Every connection and what it counts for."""
        self._silent: OrderedDict[Who, None] = OrderedDict()
        """Strangers we wait for, longest first."""
        self._connected: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._inside)

    def __iter__(self) -> Iterator[Who]:
        return iter(list(self._inside))

    def refusal(self, client: str, trusted: bool) -> Reply | None:
        """Why a client at this address may not come in now; None: it may."""
        if not trusted and (refusal := self._too_much(client)):
            return refusal
        if self._is_full(trusted) and not self._silent:
            return TOO_MANY_CONNECTIONS
        return None

    def enter(self, who: Who, client: str, trusted: bool) -> Who | None:
        """It comes in, having no ``refusal``; gives who has to leave for it, and counts no more."""
        leaves = next(iter(self._silent)) if self._is_full(trusted) else None
        if leaves is not None:
            self.leave(leaves)
        self._count(who, () if trusted else _keys(client))
        self.waits(who, trusted)
        return leaves

    def speaks_for(self, who: Who, client: str, trusted: bool) -> Reply | None:
        """It is inside, and counts for another client from now on; why that one may not come in, None: it may."""
        self._count(who, ())
        if not trusted:
            if refusal := self._too_much(client):
                return refusal
            self._count(who, _keys(client))
        return None

    def waits(self, who: Who, trusted: bool) -> None:
        """We wait for it to say something; it may be trusted now that it has logged in."""
        if trusted:
            self._silent.pop(who, None)
        elif who in self._inside:
            self._silent[who] = None
            self._silent.move_to_end(who)

    def works(self, who: Who) -> None:
        """It waits for us, and must not be sent away."""
        self._silent.pop(who, None)

    def leave(self, who: Who) -> None:
        """It has gone."""
        self._count(who, ())
        del self._inside[who]
        self._silent.pop(who, None)

    def _count(self, who: Who, keys: tuple[str, ...]) -> None:
        """It counts for these, and no more for others."""
        for key in self._inside.get(who, ()):
            self._connected[key] -= 1
            if not self._connected[key]:
                del self._connected[key]
        self._inside[who] = keys
        self._connected.update(keys)

    def _too_much(self, client: str) -> Reply | None:
        """Why not one more connection of this client; where it may be one more, it is of its rate."""
        keys = _keys(client)
        if any(self._connected[key] >= limit for key, limit in _limited(keys, self._limits.client_connections)):
            return TOO_MANY_OF_CLIENT
        rates = ((key, rate, _MINUTE) for key, rate in _limited(keys, self._limits.client_rate))
        return None if self._rates.in_time(rates) else TOO_OFTEN

    def _is_full(self, trusted: bool) -> bool:
        most = self._limits.max_connections
        return len(self._inside) >= most or (not trusted and len(self._silent) >= most - most // 10)


def _keys(client: str) -> tuple[str, str]:
    """The client and its network."""
    if ip_address(client).version == 4:
        return client, client.rpartition(".")[0]
    return network(client), str(ip_network((client, 48), strict=False))


def _limited(keys: tuple[str, ...], limit: int) -> list[tuple[str, int]]:
    """What is limited, and to how much."""
    return list(zip(keys, (limit, NETWORK * limit), strict=False)) if limit else []
