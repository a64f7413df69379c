"""Relaying, from a client's connection to the MX hosts, beside Debian's Postfix: ``python -m bench.relaying --help``.

Generator, sinks, DNS server and all of the relay share the cores of this machine. Every relay is started for each
round, on the same disk, and stopped after it; rounds are interleaved and medians printed, the ratios are of the same
round. docs/performance.md says what exactly is measured.
"""

import argparse
import asyncio
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import dkim
import uvloop

from bench import figures, flushes
from bench.figures import Case, Round
from bench.generator import SENDER_DOMAIN
from bench.postfix import Postfix, PostfixOpenDKIM, unpack
from bench.processes import Watch, busy, name, tree
from bench.relays import DOMAINS, HOSTS, SELECTOR, WARM_UP, Postjet, Relay
from bench.sink import Counts, read_counts
from common.errors import PostjetError, UnavailableError
from common.key_store import KeyStore
from common.keys import KeyFile, public_record
from master.sockets import free_port

#: At most; a short round has as many before it as in it.
WARM_UP_MAILS = 200
#: Seconds without a mail at the sinks after which a round has failed.
STALLED = 60.0
SIZES = {"4k": (4_000, 6000), "100k": (100_000, 2000)}
Make = Callable[[Path, int, Path], Relay]


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


async def measure(
    make: Make, case: Case, folder: Path, key: Path, *, count: bool = False, profile: bool = False
) -> Round:
    """One round of one relay, in a new folder. Raises UnavailableError, TimeoutError.

    ``count`` counts flushes; ``profile`` has py-spy write ``profile-ROLE.txt``, folded stacks, here.
    """
    mx_port, warm_up = free_port(), min(WARM_UP_MAILS, case.mails)
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
    before, own, machine = read_counts(folder), time.process_time(), busy()
    async with Watch(relay.roots()) as watch, Watch([sinks]) as sinks_watch:
        sent = await _send(relay.port, case.mails, case.size, case.sessions, DOMAINS)
        await _arrived(folder, before.mails + case.mails)
        after = read_counts(folder)
        await relay.settle(after.mails)
        settled = time.monotonic()
        machine = busy() - machine
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


async def run(options: argparse.Namespace, folder: Path) -> dict[Case, dict[str, list[Round]]]:
    """All rounds. Raises PostjetError."""
    key = KeyStore(f"file://{folder}/{{domain}}.{{selector}}.pem", "").create(SENDER_DOMAIN, SELECTOR, "rsa").path
    settings = {"pools.default": {"workers": options.workers}}
    makes: dict[str, Make] = {Postjet.name: partial(Postjet, settings=settings)}
    if not options.postjet:
        try:
            unpack()
            makes |= {PostfixOpenDKIM.name: PostfixOpenDKIM, Postfix.name: Postfix}
        except UnavailableError as error:
            _say(f"without Postfix: {error}")
    cases = [
        Case(size, options.mails or mails, options.sessions) for size, mails in map(SIZES.__getitem__, options.size)
    ]
    results: dict[Case, dict[str, list[Round]]] = {case: {relay: [] for relay in makes} for case in cases}
    names = deque(makes)
    for number in range(options.rounds):
        for case in cases:
            for called in names:
                place = folder / f"{number}-{case.size}-{called}"
                one = await measure(makes[called], case, place, key, profile=options.profile)
                results[case][called].append(one)
                _say(f"round {number + 1}, {case.title}: {called} {one.accepted:.0f}/s, {one.delivered:.0f}/s")
        names.rotate()
    if flushes.can_count(folder):
        await _count_flushes(makes, results, folder, key)
    else:
        _say("without flushes: perf, root and ext4, xfs or btrfs are needed to count them")
    return results


async def _count_flushes(
    makes: dict[str, Make], results: dict[Case, dict[str, list[Round]]], folder: Path, key: Path
) -> None:
    """A round more, shorter, for nothing else."""
    for case, found in results.items():
        short = case._replace(mails=max(200, case.mails // 4))
        for called, make in makes.items():
            one = await measure(make, short, folder / f"flushes-{case.size}-{called}", key, count=True)
            found[called] = [dataclasses.replace(other, flushes=one.flushes) for other in found[called]]
            _say(f"flushes, {short.title}: {called} {sum(one.flushes.values()):.2f} per mail")


def _say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.relaying", description="Postjet beside Debian's Postfix.")
    parser.add_argument("--size", choices=SIZES, action="append", help="of a mail; may be given twice; both by default")
    parser.add_argument("--mails", type=int, help="a round; 6000 of 4 KB and 2000 of 100 KB by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=20, help="of the generator")
    parser.add_argument("--workers", type=int, default=1, help="of Postjet")
    parser.add_argument("--postjet", action="store_true", help="Postjet alone")
    parser.add_argument("--profile", action="store_true", help="py-spy writes profile-ROLE.txt; the figures suffer")
    parser.add_argument("--json", action="store_true", help="every round, for programs")
    options = parser.parse_args()
    if options.profile and not shutil.which("py-spy"):
        parser.error("--profile needs py-spy in PATH: pip install py-spy")
    options.size = options.size or list(SIZES)
    return options


def main() -> int:
    """The command line."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="postjet-bench-") as path:
        folder = Path(path)
        folder.chmod(0o755)  # Postfix's daemons are not root
        try:
            results = uvloop.run(run(options, folder))
        except (PostjetError, TimeoutError) as error:
            _say(f"bench: {error!r}")
            return 1
    if options.json:
        print(json.dumps([{**case._asdict(), "relays": _plain(found)} for case, found in results.items()], indent=1))
    else:
        print("\n\n".join(figures.table(case, found) for case, found in results.items()))
    return 0


def _plain(found: dict[str, list[Round]]) -> dict[str, Any]:
    return {relay: [dataclasses.asdict(one) for one in rounds] for relay, rounds in found.items()}


if __name__ == "__main__":
    sys.exit(main())
