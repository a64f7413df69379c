"""Relaying, from a client's connection to the MX hosts, beside Debian's Postfix: ``python -m bench.relaying --help``.

Generator, sinks, DNS server and all of the relay share the cores of this machine. Every relay is started for each
round, on the same disk, and stopped after it; rounds are interleaved and medians printed, the ratios are of the same
round. docs/performance.md says what exactly is measured.
"""

import argparse
import dataclasses
import json
import platform
import shutil
import signal
import sys
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from bench import figures, flushes
from bench.figures import Case, Round
from bench.generator import SENDER_DOMAIN
from bench.measuring import Make, measure, workplace
from bench.postfix import Postfix, PostfixOpenDKIM, unpack
from bench.relays import SELECTOR, Postjet
from common.errors import PostjetError, UnavailableError
from common.key_store import KeyStore

#: Bytes of a mail, mails of a round.
SIZES = {"4k": (4_000, 6000), "100k": (100_000, 2000)}


async def run(options: argparse.Namespace, folder: Path) -> dict[Case, dict[str, list[Round]]]:
    """All rounds. Raises PostjetError."""
    _say(f"Python {platform.python_version()} of {sys.base_prefix}")  # how it was built makes a difference
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
    with workplace() as folder:
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
