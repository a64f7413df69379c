"""Which targets a source address reaches."""

from outbound.failure import temporary
from outbound.routing import Target


def reach(targets: list[Target], source: str) -> list[Target]:
    """The targets of the source's family; raises DeliveryFailure where there is none.

    Mail that should come from an address must not leave from another one.
    """
    if not source:
        return targets
    is_ipv6 = ":" in source
    reached = [target for target in targets if (":" in target.address) == is_ipv6]
    if not reached:
        missing = "IPv4" if is_ipv6 else "IPv6"
        text = f"only {missing} addresses, and the pool has no {missing} address in source_addresses: {targets[0]}"
        raise temporary("4.4.4", text, phase="dns", reason="source")
    return reached
