"""Whether a mail would be taken now, and what else is not as it should be."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from api import clickhouse
from common import instance, synced
from common.broker import Broker, BrokerFailure
from common.listener import Listener
from common.queue import leases, pools
from common.queue.room import Room
from common.role import Role
from common.section import split_host_port

#: We ask ourselves: whose name the certificate has does not matter.
_UNVERIFIED = ssl.create_default_context()
_UNVERIFIED.check_hostname, _UNVERIFIED.verify_mode = False, ssl.CERT_NONE
#: Seconds that each question may take.
PATIENCE = 2.0


@dataclass(slots=True)
class Verdict:
    """What keeps mail out, and what is only worse than it should be; a line each."""

    missing: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)


class Health:
    """Asks everybody a mail needs. ``system`` is a connection that may ask whether writes are synced.

    ``room`` is to be watched, as intake watches its own: what has stopped resumes at another mark than it stopped at.
    """

    def __init__(self, role: Role, system: Broker | None, room: Room) -> None:
        self._role, self._broker, self._system, self._room = role, role.broker, system, room
        self._has_parent = bool(role.sockets)

    async def judge(self) -> Verdict:
        """Ask all of them at once."""
        verdict = Verdict()
        if self._is_stopping():
            verdict.missing.append("stopping")
        checks = [self._intake(verdict), self._synced(verdict), self._recording(verdict), self._left_behind(verdict)]
        checks += [self._workers(verdict, pool) for pool in self._role.config.pools]
        if self._role.config.feedback.domain:
            checks.append(self._feedback(verdict))
        if self._has_parent:  # alone, api cannot know which listeners this machine should have
            checks += [self._listener(verdict, listener) for listener in self._role.config.listeners]
        await asyncio.gather(*checks)
        return verdict

    def _is_stopping(self) -> bool:
        running = instance.read(self._role.config.data_dir) if self._has_parent else None
        return self._role.stopping.is_set() or bool(running and running.stopping)

    async def _intake(self, verdict: Verdict) -> None:
        async with _blaming(verdict.missing, "broker"):
            await self._room.look()
            if self._room.obstacle:
                verdict.missing.append(f"room: {self._room.obstacle}; new mail is answered 452")

    async def _synced(self, verdict: Verdict) -> None:
        if self._system:  # an operator's own broker cannot be asked
            async with _blaming(verdict.missing, "broker's sync"):
                if not await synced.ask(self._system):
                    verdict.missing.append("broker's sync: it does not sync every write before it confirms it")

    async def _workers(self, verdict: Verdict, pool: str) -> None:
        async with _blaming(verdict.missing, f"workers of pool {pool}"):
            if not await leases.live(self._broker, f"worker.{pool}"):
                verdict.missing.append(f"workers of pool {pool}: none is alive")

    async def _recording(self, verdict: Verdict) -> None:
        async with _blaming(verdict.degraded, "recorder"):
            if not await leases.holder(self._broker, "recorder"):
                verdict.degraded.append("recorder: none is at work; events wait")
        if not await clickhouse.answers(self._role.servers.clickhouse_url):
            verdict.degraded.append("clickhouse: no answer; events wait")

    async def _feedback(self, verdict: Verdict) -> None:
        async with _blaming(verdict.degraded, "feedback"):
            if not await leases.live(self._broker, leases.FEEDBACK):
                verdict.degraded.append("feedback: nobody reads it; bounces and complaints wait")

    async def _left_behind(self, verdict: Verdict) -> None:
        async with _blaming(verdict.degraded, "pools"):
            for pool, number in (await pools.left_behind(self._broker, self._role.config.queues)).items():
                verdict.degraded.append(f"pool {pool}: {number} deliveries wait, but it is not in the configuration")

    async def _listener(self, verdict: Verdict, listener: Listener) -> None:
        """What a client would see."""
        async with _blaming(verdict.missing, f"listener {listener.name}"):
            reply = await _greeting(listener)
            if not reply.startswith("220"):
                verdict.missing.append(f"listener {listener.name}: {reply or 'closes the connection'}")


@contextlib.asynccontextmanager
async def _blaming(lines: list[str], what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        lines.append(f"{what}: no answer within {PATIENCE:g} s")
    except (BrokerFailure, OSError) as error:
        lines.append(f"{what}: {error}")


async def _greeting(listener: Listener) -> str:
    """The first line a listener says (RFC 5321 3.1), with what it wants before that."""
    reader, writer = await asyncio.open_connection(*_reachable(listener.bind))
    try:
        own = ip_address(writer.get_extra_info("sockname")[0])
        if any(own in ip_network(network) for network in listener.proxy):
            writer.write(b"PROXY UNKNOWN\r\n")
        if listener.tls == "implicit":
            await writer.start_tls(_UNVERIFIED)
        line = (await reader.readline()).decode("ascii", "replace").strip()
        writer.write(b"QUIT\r\n")
        await writer.drain()
        await reader.read()
        return line
    finally:
        writer.close()


def _reachable(bind: str) -> tuple[str, int]:
    host, port = split_host_port(bind)
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port
