"""Flushes of the disk by process, counted by the kernel: perf's tracepoint at the file system's own fsync.

fsync, fdatasync and each write to a file opened with O_SYNC or O_DSYNC pass there. Needs perf, root, and one of the
file systems below; without them nothing is counted.
"""

import asyncio
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_EVENTS = {
    "ext2/ext3": "ext4:ext4_sync_file_enter",  # what stat calls ext4
    "xfs": "xfs:xfs_file_fsync",
    "btrfs": "btrfs:btrfs_sync_file",
}


def can_count(folder: Path) -> bool:
    """Whether ``counted`` works here."""
    event = _event(folder)
    if not event or not shutil.which("perf"):
        return False
    return not subprocess.run(["perf", "stat", "-a", "-e", event, "true"], capture_output=True, check=False).returncode


def _event(folder: Path) -> str | None:
    done = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True)
    return _EVENTS.get(done.stdout.strip())


@asynccontextmanager
async def counted(folder: Path) -> AsyncIterator[Counter[int]]:
    """Count those of the whole machine while inside; the counter, by process id, is filled at the end."""
    found, data = Counter[int](), folder / "perf.data"
    event = _event(folder)
    assert event
    record = await asyncio.create_subprocess_exec(
        "perf", "record", "--quiet", "-a", "-e", event, "-o", str(data), stderr=subprocess.DEVNULL
    )
    try:
        while not (data.exists() and data.stat().st_size):
            await asyncio.sleep(0.02)
        yield found
    finally:
        record.send_signal(signal.SIGINT)
        await record.wait()
    script = await asyncio.create_subprocess_exec(
        "perf", "script", "-i", str(data), "-F", "pid", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    output, _ = await script.communicate()
    found.update(map(int, output.split()))
