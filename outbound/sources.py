"""The addresses that a pool's connections come from, in turn."""

import random
from collections.abc import Sequence

from common.sockets import is_local
from outbound.failure import temporary
from outbound.routing import Target


class Sources:
    """The rotation of one site: each site sees every address as often. No addresses: the system chooses."""

    def __init__(self, addresses: Sequence[str] = ()) -> None:
        self._ipv6 = [address for address in addresses if ":" in address]
        self._ipv4 = [address for address in addresses if ":" not in address]
        self._turn = random.randrange(1000)  # sites that get one mail each do not all see the first

    def reach(self, targets: list[Target]) -> list[Target]:
        """The targets of a family that has a source; raises DeliveryFailure where there is none.

        Mail that should come from these addresses must not leave from another one.
        """
        if not (self._ipv4 or self._ipv6):
            return targets
        reached = [target for target in targets if self._family(target)]
        if not reached:
            missing = "IPv6" if self._ipv4 else "IPv4"
            text = f"only {missing} addresses, and the pool has no {missing} address in source_addresses: {targets[0]}"
            raise temporary("4.4.4", text, phase="dns", reason="source")
        return reached

    def next(self, target: Target) -> str:
        """Where the next connection to a target comes from; ``""`` leaves that to the system.

        An address that the machine does not have now is passed over, unless it has none of them.
        """
        if not (family := self._family(target)):
            return ""
        self._turn += 1
        in_turn = [family[(self._turn + i) % len(family)] for i in range(len(family))]
        return next((address for address in in_turn if is_local(address)), in_turn[0])

    def _family(self, target: Target) -> list[str]:
        return self._ipv6 if ":" in target.address else self._ipv4
