"""Kills a process at a named point of its code. Python imports this at its start where it is on PYTHONPATH.

Only crash tests put it there (tests/crash_support.py): the code that ships has no hooks. ``FAULT_HOOKS`` is a
folder. Its file ``functions`` names what is wrapped, ``module:qualified.name`` in each line; it is read once. A
file ``<function>:before`` or ``<function>:after`` arms that point: JSON with ``role``, a word that the process has
in its command line, ``match``, a text that the arguments must have in them, and ``victim``: a word that another
child of the parent has in its command line, ``""`` for the process itself. A point strikes once. The victim's pid
is then in the file ``struck``.
"""

import contextlib
import functools
import importlib.abc
import importlib.util
import inspect
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(os.environ.get("FAULT_HOOKS", "/nonexistent"))


def strike(point: str, arguments: object) -> None:
    """Kill, if the point is armed and it is its turn."""
    armed = FOLDER / point
    try:
        order = json.loads(armed.read_text())
        if order["role"] not in sys.orig_argv or order["match"] not in repr(arguments):
            return
        armed.unlink()
    except FileNotFoundError:  # not armed, or another task was quicker
        return
    victim = sibling(order["victim"]) if order["victim"] else os.getpid()
    (FOLDER / "struck.new").write_text(str(victim))
    (FOLDER / "struck.new").rename(FOLDER / "struck")
    os.kill(victim, signal.SIGKILL)
    while not is_dead(victim):
        time.sleep(0.001)  # nothing here goes on before it is gone


def sibling(word: str) -> int:
    """The child of our parent with a word, or a path that ends in it, in its command line."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # no process, or one that has ended
            words = (entry / "cmdline").read_text().split("\0")
            ours = f"\nPPid:\t{os.getppid()}\n" in (entry / "status").read_text()
            if ours and any(w == word or w.endswith(f"/{word}") for w in words):
                return int(entry.name)
    raise LookupError(word)


def is_dead(pid: int) -> bool:
    """Whether a process has ended; its parent need not know yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wrap(module: ModuleType, name: str) -> None:
    """Strike before and after a function or method."""
    *path, attribute = name.split(".")
    owner: Any = functools.reduce(getattr, path, module)
    function = vars(owner)[attribute]
    point = f"{module.__name__}:{name}"

    @functools.wraps(function)
    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        strike(f"{point}:before", (args, kwargs))
        result = await function(*args, **kwargs)
        strike(f"{point}:after", (args, kwargs))
        return result

    @functools.wraps(function)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        strike(f"{point}:before", (args, kwargs))
        result = function(*args, **kwargs)
        strike(f"{point}:after", (args, kwargs))
        return result

    setattr(owner, attribute, asynchronous if inspect.iscoroutinefunction(function) else synchronous)


class Importer(importlib.abc.MetaPathFinder):
    """Wraps functions of modules as these are imported."""

    def __init__(self, functions: list[str]) -> None:
        self.wanted: defaultdict[str, list[str]] = defaultdict(list)
        for line in functions:
            module, _, name = line.partition(":")
            self.wanted[module].append(name)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (*self.wanted, "master.child"):
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        assert spec
        assert spec.loader
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            for name in self.wanted[fullname]:
                wrap(module, name)
            if fullname == "master.child":
                module.SETTLED = 0.0  # crashes on purpose, one after the other, are no reason to wait longer each time

        spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec


if (FOLDER / "functions").exists():
    sys.meta_path.insert(0, Importer((FOLDER / "functions").read_text().split()))
