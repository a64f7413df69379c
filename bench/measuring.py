"""One round of one relay: started, warmed up, loaded, measured, checked, stopped."""

import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path

import dkim

from bench import flushes
from bench.figures import Case, Round
from bench.generator import SENDER_DOMAIN
from bench.processes import Watch, busy, name, strangers, tree
from bench.relays import DOMAINS, HOSTS, SELECTOR, WARM_UP, Relay, quiet_port
from bench.sink import Counts, read_counts
from common.errors import UnavailableError
from common.keys import KeyFile, public_record

#: At most; a short round has as many before it as in it.
WARM_UP_MAILS = 200
#: Seconds without a mail at the sinks after which a round has failed.
STALLED = 60.0
#: In a folder, with the port of the sinks and the file of the DKIM key.
Make = Callable[[Path, int, Path], Relay]


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for rounds that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="postjet-bench-") as path:
        folder = Path(path)
        folder.chmod(0o755)  # Postfix's daemons are not root
        yield folder


async def measure(
    make: Make, case: Case, folder: Path, key: Path, *, count: bool = False, profile: bool = False
) -> Round:
    """One round of one relay, in a new folder. Raises UnavailableError, TimeoutError.

    ``count`` counts flushes; ``profile`` has py-spy write ``profile-ROLE.txt``, folded stacks, here.
    """
    mx_port, warm_up = quiet_port(), min(WARM_UP_MAILS, case.mails)
    (folder / "relay").mkdir(parents=True)
    relay = make(folder / "relay", mx_port, key)
    async with _sinks(folder, mx_port) as sinks:
        try:
            await relay.start()
            await _send(relay.port, warm_up, case.size, case.sessions, [WARM_UP])
            await _arrived(folder, warm_up)
            await relay.settle(warm_up)
            spied = _spied(relay) if profile else nullcontext()
            async with spied, flushes.counted(folder) if count else nullcontext(Counter[int]()) as flushed:
                one, names = await _load(relay, case, folder, sinks)
        finally:
            await relay.stop()
    by_name = Counter[str]()
    for pid, number in flushed.items():
        if pid in names:
            by_name[names[pid]] += number
    return dataclasses.replace(one, flushes={process: number / case.mails for process, number in by_name.items()})


@asynccontextmanager
async def _sinks(folder: Path, port: int) -> AsyncIterator[int]:
    """MX hosts in a process of their own; its id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sink", str(port), str(folder), *HOSTS, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        if await process.stdout.readline() != b"ready\n":
            raise UnavailableError(f"the sinks cannot listen on port {port}")
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _send(port: int, mails: int, size: int, sessions: int, domains: list[str]) -> dict[str, float]:
    """What the generator says. Raises UnavailableError."""
    arguments = [str(value) for value in (port, mails, size, sessions, *domains)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.generator", *arguments, stdout=subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise UnavailableError("the generator ended with an error, see above")
    found: dict[str, float] = json.loads(output)
    return found


async def _arrived(folder: Path, mails: int) -> None:
    """Wait until so many are at the sinks. Raises UnavailableError when no more come."""
    seen, since = 0, time.monotonic()
    while (now := read_counts(folder).mails) < mails:
        if now > seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > STALLED:
            raise UnavailableError(f"only {now} of {mails} mails came to the sinks")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _spied(relay: Relay) -> AsyncIterator[None]:
    """py-spy on each process of Postjet that has a role."""
    spies = []
    for process in tree(relay.roots()):
        role = name(process.pid)
        if role in ("smtpd_ingress", "outbound", "events"):
            argv = ["py-spy", "record", "--pid", str(process.pid), "--format", "raw", "-o", f"profile-{role}.txt"]
            spies.append(await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL))
    try:
        yield
    finally:
        for spy in spies:
            spy.send_signal(signal.SIGINT)
            await spy.wait()


async def _load(relay: Relay, case: Case, folder: Path, sinks: int) -> tuple[Round, dict[int, str]]:
    """Send the mails and see them through; also the names of the relay's processes."""
    before, own, machine, others = read_counts(folder), time.process_time(), busy(), strangers()
    async with Watch(relay.roots()) as watch, Watch([sinks]) as sinks_watch:
        sent = await _send(relay.port, case.mails, case.size, case.sessions, DOMAINS)
        await _arrived(folder, before.mails + case.mails)
        after = read_counts(folder)
        await relay.settle(after.mails)
        settled = time.monotonic()
        machine, others = busy() - machine, strangers() - others
        usage = watch.usage()
        [sink_cpu] = sinks_watch.usage().cpu.values()
    if relay.signs:
        _check_signed(relay, after, (folder / "sample").read_bytes())
    per_mail = 1000 / case.mails
    one = Round(
        accepted=case.mails / (sent["end"] - sent["start"]),
        delivered=case.mails / (after.last - sent["start"]),
        settled=settled - after.last,
        p50=sent["p50"],
        p95=sent["p95"],
        cpu={process: seconds * per_mail for process, seconds in usage.cpu.items()},
        bench_cpu={
            "generator": sent["cpu"] * per_mail,
            "sinks": sink_cpu * per_mail,
            "DNS and bench": (time.process_time() - own) * per_mail,
        },
        machine_cpu=machine * per_mail,
        others=others / (settled - sent["start"]),
        memory=usage.peak,
        processes=usage.processes,
        proportional=usage.proportional,
        connections=(after.connections - before.connections) / case.mails,
    )
    return one, watch.pids()


def _check_signed(relay: Relay, counts: Counts, sample: bytes) -> None:
    """Raises UnavailableError unless every mail is signed, and the sample's signature is good."""
    record = public_record(KeyFile(SENDER_DOMAIN, SELECTOR, relay.key).load()).encode()
    if counts.signed != counts.mails or not dkim.verify(sample, dnsfunc=lambda *_, **__: record):
        raise UnavailableError(f"{relay.name} signed {counts.signed} of {counts.mails} mails, or not well")
