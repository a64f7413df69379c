"""A child process: started, watched, started again with backoff, stopped."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from common import metrics
from common.counting import count, level
from common.errors import UnavailableError

log = structlog.get_logger()

BACKOFF_FIRST, BACKOFF_MAX = 0.1, 10.0
#: A child that ran so long starts again at once.
SETTLED = 30.0
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(eq=False)
class Child:
    """One process. ``death_signal`` is what the kernel sends it when the parent dies."""

    name: str
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    """File descriptors it inherits."""
    death_signal: signal.Signals = signal.SIGKILL
    timer_slack: int = 0
    """Nanoseconds by which the kernel may let its sleeps last longer, of every thread; 0: as is usual, 50,000."""
    log_file: Path | None = None
    """Where it says why it ended; None: on standard error."""
    on_start: Callable[[], Awaitable[None]] | None = None
    """Awaited after every start, before the child counts as running."""
    on_end: Callable[[], None] = lambda: None
    """Called whenever it has ended."""
    process: asyncio.subprocess.Process | None = None
    stopping: bool = False
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and keep it running. Raises what ``on_start`` raises the first time."""
        count(metrics.PROCESS_RESTARTS, self.name, by=0)
        await self._spawn()
        self._task = asyncio.create_task(self._watch())

    async def stop(self, timeout: float) -> None:
        """SIGTERM, and SIGKILL after ``timeout`` seconds."""
        self.stopping = True
        await self.end(timeout)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def end(self, timeout: float) -> None:
        """End the process as ``stop`` does; unless it was stopped, another one is started."""
        process = self.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), timeout)
            except TimeoutError:
                log.warning("%s (pid %s) did not end within %g s; killed", self.name, process.pid, timeout)
                process.kill()
                await process.wait()

    async def _spawn(self) -> None:
        parent = os.getpid()

        def before_exec() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(self.death_signal))
            if self.timer_slack:
                _libc.prctl(_PR_SET_TIMERSLACK, self.timer_slack)  # threads and programs inherit it: prctl(2)
            if os.getppid() != parent:  # it died before prctl
                os._exit(1)

        self.process = await asyncio.create_subprocess_exec(
            *self.argv,
            env={**os.environ, **self.environment},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=self.fds,
            process_group=0,  # Ctrl-C is for the parent
            preexec_fn=before_exec,
        )
        log.debug("%s started, pid %s", self.name, self.process.pid)
        level(metrics.PROCESS_UP, 1, self.name)
        if self.on_start:
            await self._until_started(self.process, self.on_start())

    async def _until_started(self, process: asyncio.subprocess.Process, started: Awaitable[None]) -> None:
        """Raises UnavailableError when the process ends before it answers."""
        ready, ended = asyncio.ensure_future(started), asyncio.ensure_future(process.wait())
        await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            why = f"; see {self.log_file}" if self.log_file else ""
            raise UnavailableError(f"{self.name} ended with code {process.returncode} before it answered{why}")
        ended.cancel()
        ready.result()

    async def _watch(self) -> None:
        backoff = BACKOFF_FIRST
        while True:
            assert self.process is not None
            started = time.monotonic()
            code = await self.process.wait()
            level(metrics.PROCESS_UP, 0, self.name)
            self.on_end()
            if self.stopping:
                return
            count(metrics.PROCESS_RESTARTS, self.name)
            if time.monotonic() - started > SETTLED:
                backoff = BACKOFF_FIRST
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            log.warning("%s (pid %s) %s; starting it again in %g s", self.name, self.process.pid, how, backoff)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, BACKOFF_MAX)
            try:
                await self._spawn()
            except Exception as error:
                log.error("%s did not start: %s", self.name, error)
