"""Blocking work off the event loop, in a thread that no process waits for when it ends."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises. Cancelled, or when the process ends, the thread is left to itself."""
    loop, done = asyncio.get_running_loop(), asyncio.Future[T]()

    def tell(set_: Callable[[Any], None], value: Any) -> None:
        if not done.cancelled():
            set_(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = done.set_result, work()
        except Exception as error:
            outcome = done.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=run, daemon=True).start()
    return await done
