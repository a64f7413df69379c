"""``python -m tests.fuzz``: for FUZZ_SECONDS, or FUZZ_SEED alone. Ends with 1 where something was found."""

import asyncio
import gc
import logging
import os
import resource
import secrets
import sys
import time
import traceback

import structlog

from tests.fuzz.runs import Server, pure, serving

#: After so many sessions memory is looked at.
LOOK = 20_000
#: Objects that may be more than after the first look; sessions are let go of.
GROWTH = 2_000
MOST_FINDINGS = 10


class Campaign:
    """Sessions until time is up."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.sessions = 0
        self.findings: list[str] = []
        self._objects = 0

    async def run(self, seconds: float) -> None:
        began = time.monotonic()
        async with serving() as server:
            while time.monotonic() - began < seconds and len(self.findings) < MOST_FINDINGS:
                await self.one(server, f"{self.base}-{self.sessions}")
                self.sessions += 1
                if self.sessions % LOOK == 0:
                    self._look(time.monotonic() - began)

    async def one(self, server: Server, seed: str) -> None:
        """A session; whatever it raises is a finding."""
        try:
            if seed.rpartition("-")[2].endswith("0"):
                await server.over_socket(seed)
            else:
                pure(seed)
        except Exception:
            self.findings.append(seed)
            print(f"FUZZ_SEED={seed}\n{traceback.format_exc()[-3000:]}", flush=True)

    def _look(self, passed: float) -> None:
        gc.collect()
        objects, rss = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{passed:.0f} s: {self.sessions:,} sessions, {objects:,} objects, at most {rss} MB", flush=True)
        self._objects = self._objects or objects
        if objects > self._objects + GROWTH:
            self.findings.append(f"objects grew from {self._objects} to {objects}")
            print(self.findings[-1], flush=True)


async def main() -> int:
    """What is found is printed with its seed."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of writing to who has closed
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if seed := os.environ.get("FUZZ_SEED"):
        campaign = Campaign(seed)
        async with serving() as server:
            await campaign.one(server, seed)
    else:
        campaign = Campaign(secrets.token_hex(4))
        await campaign.run(float(os.environ.get("FUZZ_SECONDS", "3600")))
    print(f"{campaign.sessions:,} sessions of seed {campaign.base}, findings: {campaign.findings or 'none'}")
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
