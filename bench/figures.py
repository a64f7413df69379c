"""The figures of a round, their medians, and the table for people."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

#: Cores that others may keep busy.
IDLE = 0.1


class Case(NamedTuple):
    """What is sent."""

    size: int
    mails: int
    sessions: int

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.size // 1000} KB, {self.sessions} sessions, {self.mails} mails a round"


@dataclass(frozen=True)
class Round:
    """What one relay did in one round; CPU is in milliseconds per mail, memory in bytes."""

    accepted: float
    """Mails a second, from the first connection to the last 250."""
    delivered: float
    """Mails a second, from the first connection to the last mail at the sinks."""
    settled: float
    """Seconds from the last mail at the sinks until nothing was left to do: queue empty, or all recorded."""
    p50: float
    """From MAIL to the 250 of a mail's end, milliseconds."""
    p95: float
    cpu: dict[str, float]
    """By process of the relay."""
    bench_cpu: dict[str, float]
    """Of what measures: generator, sinks, DNS server and the rest."""
    machine_cpu: float
    """What all cores were busy, the kernel's own threads too."""
    others: float
    """Cores that programs kept busy that are no part of the bench."""
    memory: dict[str, int]
    """Peaks of the resident set, by process; what several processes share is in each."""
    processes: dict[str, int]
    """Most of them at the same time."""
    proportional: int
    """Memory of the relay at the end, shared pages counted once."""
    connections: float
    """Connections to the sinks per mail."""
    flushes: dict[str, float] = field(default_factory=dict)
    """Of the disk, per mail, by process; counted in a round of their own."""


def middle(rounds: Iterable[Round]) -> Round:
    """The median of each figure. A process that a round has not seen counts as 0 there."""
    many = [dataclasses.asdict(one) for one in rounds]
    values: dict[str, Any] = {}
    for name, first in many[0].items():
        if isinstance(first, dict):
            keys = dict.fromkeys(key for one in many for key in one[name])
            values[name] = {key: median(one[name].get(key, 0) for one in many) for key in keys}
        else:
            values[name] = median(one[name] for one in many)
    return Round(**values)


def ratio(ours: list[Round], theirs: list[Round], figure: Callable[[Round], float]) -> float:
    """The median of the ratios within each round."""
    return median(figure(one) / figure(other) for one, other in zip(ours, theirs, strict=True))


def table(case: Case, results: dict[str, list[Round]]) -> str:
    """For people: a case's relays side by side; the first is set beside the others."""
    medians = {name: middle(rounds) for name, rounds in results.items()}
    lines = [case.title, _head()]
    for name, one in medians.items():
        flushes = f"{sum(one.flushes.values()):.2f}" if one.flushes else "-"
        lines.append(
            f"{name:<18}{one.accepted:>10.0f}{one.delivered:>12.0f}{one.p50:>8.1f}{one.p95:>8.1f}"
            f"{sum(one.cpu.values()):>8.2f}{one.machine_cpu:>9.2f}{one.proportional / 1e6:>8.0f}{flushes:>9}"
            f"{one.connections:>9.3f}{one.settled:>9.2f}"
        )
    first, *others = results
    for other in others:
        accepted, delivered = (
            ratio(results[first], results[other], figure) for figure in (lambda r: r.accepted, lambda r: r.delivered)
        )
        lines.append(f"{first}/{other}: accepted {accepted:.2f}, delivered {delivered:.2f}")
    busiest = max(one.others for rounds in results.values() for one in rounds)
    if busiest > IDLE:
        lines.append(f"NOT ALONE: other programs kept up to {busiest:.2f} cores busy; these figures are worth little")
    lines.append("by process: CPU ms per mail, peak RSS, flushes per mail (processes at once)")
    for name, one in medians.items():
        lines += [f"  {name}: {_by_process(one)}", f"    bench: {_named(one.bench_cpu)}"]
    return "\n".join(lines)


def _head() -> str:
    names = {
        "": -18, "accepted/s": 10, "delivered/s": 12, "p50 ms": 8, "p95 ms": 8, "CPU ms": 8, "machine": 9,
        "PSS MB": 8, "flushes": 9, "conns": 9, "settled s": 10,
    }  # fmt: skip
    return "".join(name.ljust(-width) if width < 0 else name.rjust(width) for name, width in names.items())


def _by_process(one: Round) -> str:
    parts = []
    for name, cpu in sorted(one.cpu.items(), key=lambda item: -item[1]):
        text = f"{name} {cpu:.3f}"
        if name in one.memory:
            text += f" {one.memory[name] / 1e6:.0f} MB"
        if name in one.flushes:
            text += f" {one.flushes[name]:.2f} fl"
        count = one.processes.get(name, 1)
        parts.append(text + (f" (x{count:.0f})" if count > 1 else ""))
    return ", ".join(parts)


def _named(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
