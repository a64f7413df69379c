"""The hosts of a site: which of them let us in, and which are to be left for later."""

import time
from collections.abc import Sequence
from dataclasses import replace

from common import metrics
from common.counting import count
from common.policies.policy import Policy
from outbound.connection import Connection, Gate, Login
from outbound.failure import DeliveryFailure, NotNowError
from outbound.routing import Target
from outbound.seat import Seat


class Hosts:
    """Opens connections from one source address, and remembers how the hosts took it."""

    def __init__(self, ehlo: str, login: Login, source: str) -> None:
        self._ehlo, self._login, self._source = ehlo, login, source
        self._silent: dict[str, float] = {}  # address and until when it is taken to be dead
        self._clear: set[str] = set()  # addresses whose TLS failed, and that are to be spoken to in clear the next time

    async def open(self, targets: Sequence[Target], policy: Policy, seat: Seat, gate: Gate) -> Connection:
        """RFC 5321 5.1: every address of every host in turn, until one lets us in.

        ``gate`` is passed before each try. Raises NotNowError, which it says; DeliveryFailure when nobody let us in,
        which is temporary if one host may do so later.
        """
        now = time.monotonic()
        self._silent = {address: until for address, until in self._silent.items() if until > now}
        failures: list[DeliveryFailure] = []
        # RFC 5321 4.5.4.1: addresses known not to answer are remembered; they come after the others
        for target in sorted(targets, key=lambda target: target.address in self._silent):
            try:
                return await self._try(target, policy, gate)
            except NotNowError:
                if not failures:
                    raise
                break  # what the hosts before said counts; this one comes first the next time
            except DeliveryFailure as failure:
                failures.append(failure)
                if failure.phase != "connect":
                    seat.dirty = True
        raise next((failure for failure in reversed(failures) if not failure.permanent), failures[-1])

    async def _try(self, target: Target, policy: Policy, gate: Gate) -> Connection:
        if target.address in self._clear and policy.tls == "opportunistic":
            policy = replace(policy, tls="none")
        self._clear.discard(target.address)
        try:
            connection = await Connection.open(target, self._ehlo, policy, self._login, gate, self._source)
        except DeliveryFailure as failure:
            count(metrics.OUTBOUND_CONNECTIONS, "failed", "none")
            if failure.reason == "tls":
                self._clear.add(target.address)
            elif failure.reason != "source":
                self._silent[target.address] = time.monotonic() + policy.site_down
            raise
        count(metrics.OUTBOUND_CONNECTIONS, "opened", connection.tls_version or "none")
        return connection
