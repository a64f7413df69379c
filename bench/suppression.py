"""A million suppressions: imported, and read at the start of a process: ``python -m bench.suppression``.

A list as CSV goes into a real nats-server as ``postjet suppression import`` brings it; then a process of its own reads
all of it, as every listener and worker does at its start, and looks up recipients. Printed: seconds, CPU seconds and
memory of each.
"""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.queue import streams
from common.suppression import store
from common.suppression.suppression import Source
from common.suppression.suppressions import Suppressions
from master.sockets import free_port
from master.suppression_csv import Defaults, read
from master.suppression_import import Import
from tests.support import Nats

COUNT = int(os.environ.get("SUPPRESSIONS", "1000000"))
LOOKUPS = 200_000


def memory() -> float:
    """Of this process, in MB: now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def start(url: str, folder: str) -> None:
    """A process's start."""
    nats = Nats(Path(folder), int(url.rpartition(":")[2]))
    broker = nats.broker()
    await broker.connect()
    before, cpu, clock = memory(), time.process_time(), time.monotonic()
    known = Suppressions()
    await known.start(broker)
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    print(f"start: {len(known):,} read in {clock:.1f} s, {cpu:.1f} s of CPU, {memory() - before:.0f} MB more")
    now = time.time()
    for name, domain in (("not suppressed", "other.example"), ("suppressed", "domain{}.example")):
        cpu = time.process_time()
        found = sum(
            known.find("news@shop.example", f"user.{i}@{domain.format(i % 5000)}", now) is not None
            for i in range(LOOKUPS)
        )
        print(f"look-up: {(time.process_time() - cpu) / LOOKUPS * 1e6:.1f} µs ({name}: {found:,} found)")
    clock = time.monotonic()
    await known.look(broker)
    print(f"look, nothing new: {(time.monotonic() - clock) * 1e3:.1f} ms")
    await broker.close()


async def fill(nats: Nats) -> None:
    """The import."""
    broker = nats.broker()
    await broker.connect()
    await streams.ensure_surely(broker, ["default"], 10**9)
    with tempfile.NamedTemporaryFile("w+", suffix=".csv") as file:
        file.write("recipient,source,reason\n")
        for i in range(COUNT):
            file.write(f"user.{i}@domain{i % 5000}.example,bounce,invalid-recipient: 550 5.1.1 No such user here\n")
        file.seek(0)
        cpu, clock = time.process_time(), time.monotonic()
        done = Import(broker)
        await done.run(read(file, Defaults("@shop.example", Source.MANUAL, "", "me@here")))
        cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"import: {done.added:,} in {clock:.1f} s, {cpu:.1f} s of CPU, {most:.0f} MB at most")
    state = (await broker.api(f"STREAM.INFO.{store.STREAM}"))["state"]
    print(f"store: {state['messages']:,} messages, {state['bytes'] / 1e6:.0f} MB")
    await broker.close()


def main() -> None:
    """All of it."""
    with tempfile.TemporaryDirectory(prefix="postjet-bench-") as folder:
        nats = Nats(Path(folder), free_port())
        nats.start()
        try:
            asyncio.run(fill(nats))
            subprocess.run([sys.executable, "-m", "bench.suppression", nats.url, folder], check=True)
        finally:
            nats.kill()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(start(*sys.argv[1:]))
    else:
        main()
