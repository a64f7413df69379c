"""Counting: metrics that many processes count and one tells.

Processes count into mapped files (prometheus-client's multiprocess mode); the role ``api`` adds up what lies
there. A file belongs to a process by name and slot, so that one started again counts on where it was.
"""

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict

from common.instance import is_alive

log = structlog.get_logger()

#: Bytes of each file, taken from the disk at once: to write to mapped memory that the disk has no room for is SIGBUS.
FILE_SIZE = 128 * 1024
_GAUGES: Literal["livesum"] = "livesum"
_OF_A_PID = re.compile(r"-pid(\d+)\.db$")


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric before anything is counted."""

    name: str
    type: str
    text: str
    labels: tuple[str, ...]


CATALOGUE: list[Metric] = []
_registry = CollectorRegistry()  # only to refuse a name that is there twice


# --- metrics ---


def counter(name: str, text: str, *labels: str) -> Counter:
    """What only grows; ``name`` ends in ``_total``. Needs a label, as all that are counted do."""
    metric = _described("counter", name, text, _some(labels))
    return Counter(metric.name, text, labels, registry=_registry)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """What each process has now; added up."""
    metric = _described("gauge", name, text, _some(labels))
    return Gauge(metric.name, text, labels, registry=_registry, multiprocess_mode=_GAUGES)


def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    """Times in seconds."""
    metric = _described("histogram", name, text, _some(labels))
    return Histogram(metric.name, text, labels, registry=_registry, buckets=buckets)


def figure(name: str, text: str, *labels: str) -> Metric:
    """A gauge that nobody counts: ``api`` asks for it when it is asked itself."""
    return _described("gauge", name, text, labels)


def _described(type_: str, name: str, text: str, labels: tuple[str, ...]) -> Metric:
    CATALOGUE.append(Metric(f"postjet_{name}", type_, text, labels))
    return CATALOGUE[-1]


def _some(labels: tuple[str, ...]) -> tuple[str, ...]:
    """One without labels would have its value when it is made, before ``share`` says where values lie."""
    assert labels
    return labels


# --- counting; to look labels up costs more than to count ---

_counters = functools.cache(Counter.labels)
_gauges = functools.cache(Gauge.labels)
_histograms = functools.cache(Histogram.labels)


def count(counter: Counter, *labels: str, by: float = 1) -> None:
    """Add to a counter."""
    _counters(counter, *labels).inc(by)


def level(gauge: Gauge, value: float, *labels: str) -> None:
    """Say how much there is now."""
    _gauges(gauge, *labels).set(value)


def took(histogram: Histogram, seconds: float, *labels: str) -> None:
    """Add a time."""
    _histograms(histogram, *labels).observe(seconds)


# --- where it is counted ---


def folder(data_dir: str) -> Path:
    """Where the processes of an instance share what they count."""
    return Path(data_dir) / "run" / "metrics"


def identity(name: str, slot: str) -> str:
    """What stands in the names of a process's files, where ``_`` ends a part."""
    return f"{name}-{slot}".replace("_", "~")


def share(where: Path, who: str) -> None:
    """Count into files in a folder from now on; where that cannot be done, for this process alone.

    ``who`` is an ``identity``. Must come before anything is counted.
    """
    try:
        where.mkdir(parents=True, exist_ok=True, mode=0o700)
        _forget_the_dead(where)
        forget_gauges(where, who)
        for kind in ("counter", "histogram", f"gauge_{_GAUGES}"):
            _prepare(where / f"{kind}_{who}.db")
    except OSError as error:
        log.warning("what this process counts is not shown: %s: %s", where, error.strerror)
        values.ValueClass = values.MutexValue
        return
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(where)
    values.ValueClass = values.MultiProcessValue(lambda: who)  # type: ignore[no-untyped-call]


def _prepare(path: Path) -> None:
    if path.exists() and _is_sound(path):
        return
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, FILE_SIZE)
    fresh.rename(path)


def _is_sound(path: Path) -> bool:
    """A machine that crashed may leave half of a file."""
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            json.loads(key)
    except Exception:
        return False
    return True


def empty(where: Path) -> None:
    """Begin anew: counters start at 0."""
    for file in where.glob("*.db"):
        file.unlink(missing_ok=True)


def forget_gauges(where: Path, who: str) -> None:
    """What a process that has ended said there was is there no more; its counters stay."""
    multiprocess.mark_process_dead(who, str(where))  # type: ignore[no-untyped-call]


def _forget_the_dead(where: Path) -> None:
    """Processes that nobody gave a slot leave files that nobody counts on in."""
    for file in where.glob("*.db"):
        named = _OF_A_PID.search(file.name)
        if named and not is_alive(int(named[1])):
            file.unlink(missing_ok=True)
