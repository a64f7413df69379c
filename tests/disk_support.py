"""A small disk of a test's own: a tmpfs in a mount namespace, which can be filled and made read-only."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
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
        """``ro`` or ``rw``. Raises CalledProcessError: a disk on which files are open for writing stays ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{option}", self.path], check=True)


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Disk]:
    """Mount one at ``path``; the test is skipped where that cannot be done."""
    if problem := _own_namespace():
        pytest.skip(f"no disk of its own: {problem}")
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], check=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", path], check=True)
