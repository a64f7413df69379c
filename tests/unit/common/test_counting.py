"""Counting in several processes: real ones, for where values lie is a process's own."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

import conf
from common import counting, metrics, metrics_text

_START = """
import os, sys
from pathlib import Path
from common import counting, metrics
from common.counting import count, level, took
folder = Path(sys.argv[1])
"""


def run(folder: Path, who: str, *lines: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A child of a parent that shares what it counts, which does the same and these."""
    script = "\n".join([_START, *before, f"counting.share(folder, {who!r})", *lines])
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, -9), done.stderr
    return done


def told(folder: Path) -> dict[str, float]:
    """What api tells of it."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


DROPPED = 'postjet_queue_dropped_total{pool="default"}'
SESSIONS = 'postjet_smtpd_sessions{listener="relay"}'
COUNT = 'count(metrics.QUEUE_DROPPED, "default")'
OPEN = 'level(metrics.SMTPD_SESSIONS, 3, "relay")'


def test_processes_are_added_up_and_go_on_after_a_kill(tmp_path: Path) -> None:
    one, other = counting.identity("outbound", "default.0"), counting.identity("smtpd_ingress", "relay_0.1")
    run(tmp_path, one, COUNT, OPEN, "os.kill(os.getpid(), 9)")
    run(tmp_path, other, COUNT, COUNT, OPEN)
    assert told(tmp_path)[DROPPED] == 3
    assert told(tmp_path)[SESSIONS] == 6
    run(tmp_path, one, COUNT)
    assert told(tmp_path)[DROPPED] == 4
    assert told(tmp_path)[SESSIONS] == 3  # what the killed one had open is open no more
    counting.forget_gauges(tmp_path, other)
    assert SESSIONS not in told(tmp_path)
    assert told(tmp_path)[DROPPED] == 4
    counting.empty(tmp_path)
    assert told(tmp_path) == {}


def test_times(tmp_path: Path) -> None:
    run(tmp_path, "a-0", 'took(metrics.QUEUE_STORE_SECONDS, 0.003, "default")')
    run(tmp_path, "b-0", 'took(metrics.QUEUE_STORE_SECONDS, 7, "default")')
    found = told(tmp_path)
    name = "postjet_queue_store_seconds"
    assert found[f'{name}_sum{{pool="default"}}'] == pytest.approx(7.003)
    buckets = [found[f'{name}_bucket{{le="{le}",pool="default"}}'] for le in ("0.0025", "0.005", "5.0", "10.0", "+Inf")]
    assert buckets == [0, 1, 1, 2, 2]


def test_a_process_without_slot_leaves_nothing(tmp_path: Path) -> None:
    run(tmp_path, "api-0", COUNT)
    gone = run(tmp_path, "api-pid0", COUNT, "print(os.getpid())").stdout.strip()
    for file in tmp_path.glob("*-pid0.db"):
        file.rename(str(file).replace("pid0", f"pid{gone}"))
    assert told(tmp_path)[DROPPED] == 2
    run(tmp_path, "api-1")
    assert told(tmp_path)[DROPPED] == 1


@pytest.mark.parametrize("damage", [b"\xff\xff\x00\x00", b"\x80\x00\x00\x00" + b"\x00" * 200])
def test_what_a_crash_of_the_machine_left_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    run(tmp_path, "a-0", COUNT)
    with (tmp_path / "counter_a-0.db").open("r+b") as file:
        file.write(damage)
    run(tmp_path, "a-0", COUNT)
    assert told(tmp_path)[DROPPED] == 1


def test_no_room_for_metrics_is_no_reason_to_stop(tmp_path: Path) -> None:
    """A mapped file for which the disk has no room would end the process (SIGBUS); so nothing is mapped."""
    full = "def full(*_): raise OSError(28, 'No space left on device')"
    done = run(tmp_path, "a-0", COUNT, OPEN, "print('counted')", before=[full, "os.posix_fallocate = full"])
    assert "No space left on device" in done.stdout
    assert done.stdout.splitlines()[-1] == "counted"
    assert list(tmp_path.glob("*.db")) == []


def test_files_have_their_blocks(tmp_path: Path) -> None:
    run(tmp_path, "a-0", COUNT)
    files = list(tmp_path.glob("*.db"))
    assert len(files) == 3
    assert all(file.stat().st_blocks * 512 >= counting.FILE_SIZE for file in files)


def test_every_metric_is_described() -> None:
    page = metrics_text.reference()
    assert len({metric.name for metric in metrics.ALL}) == len(metrics.ALL)
    for metric in metrics.ALL:
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.text.endswith(".")
        assert f"| `{metric.name}` |" in page
    assert not {label for metric in metrics.ALL for label in metric.labels} & {"domain", "recipient", "sender", "site"}


def test_alerts_ask_for_metrics_that_exist() -> None:
    known = {metric.name for metric in metrics.ALL}
    for file in (resources.files(conf) / "prometheus").iterdir():
        expressions = re.findall(r"^ *expr: (.*)", file.read_text(), re.MULTILINE)
        assert set(re.findall(r"postjet_\w+", " ".join(expressions))) <= known
        assert bool(expressions) == (file.name == "alerts.yml")
