"""Who has logged in: the end of an AUTH exchange is checked here, off the loop where that takes long.

A flood of logins cannot take all CPU: each process verifies one argon2 hash at a time (27 ms, 19 MiB, one thread),
so it uses one core at most; ``MAX_WAITING`` stand in line, ``MAX_WAITING_CLIENT`` of one address, and who comes after
them gets 454 at once. Equal logins that come together are verified once, and one that was right is remembered
(``[logins] cache``) by a keyed hash of name and password, whose key is the process's own.
"""

import asyncio
import hashlib
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

import structlog

from common import metrics
from common.codes import Reply, printable
from common.counting import count
from common.listener import Logins as Settings
from common.users.credentials import is_right, no_hash
from common.users.user import User
from common.users.users import Users
from smtpd_ingress.guesses import Guesses, network
from smtpd_ingress.sasl import BAD_CREDENTIALS, Check, Done, Failed

log = structlog.get_logger()

MAX_WAITING, MAX_WAITING_CLIENT = 200, 20
MAX_CACHE = 10_000

TOO_MANY_FAILURES = Reply(421, "4.7.0", "Too many failed logins, try again later", close=True)
# RFC 4954 section 6.
BUSY = Reply(454, "4.7.0", "Temporary authentication failure: too many logins at a time, try again later")

_Verdict = tuple[Reply | None, float]
"""Why a login is refused, and seconds for which the answer is held back."""
_RIGHT: _Verdict = (None, 0.0)


class Logins:
    """Checks logins for one process. ``clock`` gives seconds that never go back."""

    def __init__(self, users: Users, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.users = users
        self._settings, self._clock = settings, clock
        self._guesses = Guesses(settings, clock)
        self._key = os.urandom(32)
        self._cache: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        """Login to the hash that it was right for, and until when that counts."""
        self._checking: dict[bytes, asyncio.Task[_Verdict]] = {}
        self._waiting: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._no_hash = no_hash()

    def refused(self, client: str) -> Reply | None:
        """What an address gets that has failed too often: to be asked when AUTH comes, before its exchange."""
        return TOO_MANY_FAILURES if self._guesses.refused(client) else None

    async def finish(self, client: str, mechanism: str, step: Check | Done | Failed) -> User | Reply:
        """The user that a client at an address has proved to be, or the reply that refuses it.

        A wrong login is answered after a delay, which grows with the failures of the address. A session that lasts asks
        ``users.get(user.name)`` again before each mail: users change, and are removed.
        """
        ended = self.refused(client) or await self._finish(client, mechanism, step)
        result = "accepted" if isinstance(ended, User) else "failed" if ended is BAD_CREDENTIALS else "refused"
        count(metrics.SMTPD_LOGINS, mechanism or "none", result)
        return ended

    async def _finish(self, client: str, mechanism: str, step: Check | Done | Failed) -> User | Reply:
        refusal: Reply | None = None
        delay = 0.0
        match step:
            case Failed(reply, ""):  # nobody was named: no guess
                return reply
            case Failed(reply, _):
                refusal, delay = reply, self._guesses.failed(client)
            case Check(name, password):
                refusal, delay = await self._check(client, name, password)
        if not refusal:
            return self.users.get(step.name) or BAD_CREDENTIALS
        if refusal is BAD_CREDENTIALS:
            log.warning(
                f"unknown[{client}]: SASL {mechanism} authentication failed: credentials invalid, "
                f"sasl_username={printable(step.name[:64])}"
            )
            await asyncio.sleep(delay)
        return refusal

    async def _check(self, client: str, name: str, password: str) -> _Verdict:
        user = self.users.get(name)
        login = hashlib.blake2b(f"{name}\0{password}".encode(), key=self._key).digest()
        if user and self._is_known(login, user):
            return _RIGHT
        task = self._checking.get(login)
        if not task:
            address = network(client)
            if len(self._checking) >= MAX_WAITING or self._waiting[address] >= MAX_WAITING_CLIENT:
                return BUSY, 0.0
            task = asyncio.create_task(self._verify(client, user, login, password))
            self._checking[login] = task
            self._waiting[address] += 1
            task.add_done_callback(lambda _task: self._done(login, address))
        return await asyncio.shield(task)  # others may wait for it, too

    def _is_known(self, login: bytes, user: User) -> bool:
        password_hash, until = self._cache.get(login, ("", 0.0))
        return password_hash == user.password_hash and self._clock() < until

    def _done(self, login: bytes, address: str) -> None:
        del self._checking[login]
        self._waiting[address] -= 1
        self._waiting += Counter()  # without those that are at 0

    async def _verify(self, client: str, user: User | None, login: bytes, password: str) -> _Verdict:
        """Failures are counted before the next hash is verified: many guesses at a time are not more guesses."""
        async with self._turn:
            if refused := self.refused(client):
                return refused, 0.0
            password_hash = user.password_hash if user else self._no_hash
            right = await asyncio.to_thread(is_right, password_hash, password)
            if not right or not user:
                return BAD_CREDENTIALS, self._guesses.failed(client)
            self._cache[login] = password_hash, self._clock() + self._settings.cache
            self._cache.move_to_end(login)
            if len(self._cache) > MAX_CACHE:
                self._cache.popitem(last=False)
            return _RIGHT
