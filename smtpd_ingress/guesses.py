"""Failed logins, counted by address: what makes guessing slow. No I/O; memory is bounded."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from common.listener import Logins

#: Addresses that are remembered; of more the one that failed longest ago is forgotten.
MAX_CLIENTS = 10_000
#: Seconds before the answer to a first failed login.
FIRST_DELAY = 0.5


@dataclass(slots=True)
class _Client:
    failures: float
    """How many, less what has been forgotten by ``at``."""
    at: float
    """Of the last one."""
    refused_until: float = 0.0


class Guesses:
    """Failed logins of each address. A count runs down steadily: ``failures`` of them in the time ``within``."""

    def __init__(self, settings: Logins, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clients)

    def refused(self, client: str) -> bool:
        """Whether an address has failed too often."""
        known = self._clients.get(network(client))
        return known is not None and self._clock() < known.refused_until

    def failed(self, client: str) -> float:
        """Count a failed login; seconds for which its answer is held back."""
        key, now, settings = network(client), self._clock(), self._settings
        known = self._clients.pop(key, None) or _Client(0.0, now)
        forgotten = (now - known.at) * settings.failures / settings.within
        known.failures, known.at = max(0.0, known.failures - forgotten) + 1, now
        # what is forgotten between two guesses must not make room for one more: so rounded up
        if known.failures > settings.failures - 1:
            known.refused_until = now + settings.refuse
        self._clients[key] = known
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return min(settings.max_delay, FIRST_DELAY * 2 ** min(known.failures - 1, 30))


def network(client: str) -> str:
    """What is counted together: an IPv4 address, or the /64 that is one network of IPv6 (RFC 4291 2.5.4)."""
    address = ipaddress.ip_address(client)
    if address.version == 4:
        return client
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
