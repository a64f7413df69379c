"""Disks of a test's own, in a mount namespace: they can be filled, made read-only and broken."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_CLONE_NEWNS = 0x00020000


@cache
def _own_namespace() -> str:
    """Move this process, and all it starts, into a mount namespace of its own; why not, where that is not allowed."""
    if os.geteuid() != 0:
        return "a mount namespace takes root"
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        return f"unshare of the mount namespace: {os.strerror(ctypes.get_errno())}"
    done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True)
    return done.stderr.strip()


@dataclass(frozen=True)
class Disk:
    """A mounted tmpfs."""

    path: Path

    @property
    def free(self) -> int:
        """Bytes."""
        return os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Filled by somebody else to its last byte; there is room again at the end."""
        filler = self.path / "filler"
        file = os.open(filler, os.O_WRONLY | os.O_CREAT)
        try:
            for size in (2**16, 2**12):
                with contextlib.suppress(OSError):
                    while os.write(file, bytes(size)):
                        pass
            yield
        finally:
            os.close(file)
            filler.unlink()

    def remount(self, option: str) -> None:
        """``ro`` or ``rw``. Raises AssertionError: a disk on which files are open for writing stays ``rw``."""
        _repeat("mount", "-o", f"remount,{option}", self.path)


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Disk]:
    """Mount one at ``path``; the test is skipped where that cannot be done."""
    with _mounted(path, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"):
        yield Disk(path)


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Nobody who opens a file under them now can write to it; who has one open can."""
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(_mounted(folder, "--bind", str(folder)))
            _repeat("mount", "-o", "remount,bind,ro", folder)
        yield


@contextlib.contextmanager
def failing_disk(path: Path, image: Path) -> Iterator[Callable[[], None]]:
    """Mount the ext4 in ``image``, made if it is not there, at ``path``; the test is skipped where that cannot be done.

    Gives what makes the kernel find an error in it: it is read-only from then on, until it is mounted anew.
    """
    mkfs = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if mkfs is None:
        pytest.skip("no disk of its own: mkfs.ext4 is not installed (e2fsprogs)")
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(128 * 2**20)
        subprocess.run([mkfs, "-q", image], check=True)
    with _mounted(path, "-o", "loop,errors=remount-ro", str(image)):
        number = path.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name
        yield lambda: Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_bytes(b"1") and None


@contextlib.contextmanager
def _mounted(path: Path, *arguments: str) -> Iterator[None]:
    if problem := _own_namespace():
        pytest.skip(f"no disk of its own: {problem}")
    path.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *arguments, path], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk of its own: {done.stderr.strip()}")
    try:
        yield
    finally:
        _repeat("umount", path)


def _repeat(*command: str | Path) -> None:
    """Until it works: processes that were killed hold their files for a moment longer. Raises AssertionError."""
    deadline = time.monotonic() + 10
    while (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.02)
