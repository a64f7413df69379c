"""Blocking work gives its result or its error, and holds up nobody who does not wait for it."""

import asyncio
import subprocess
import sys
import threading

import pytest

from common.thread import in_thread


async def test_result_and_error() -> None:
    assert await in_thread(lambda: threading.current_thread() is not threading.main_thread())
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_cancelled_it_ends_though_the_work_does_not() -> None:
    go_on, ended = threading.Event(), threading.Event()
    task = asyncio.create_task(in_thread(lambda: (go_on.wait(), ended.set())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    go_on.set()
    assert await in_thread(lambda: ended.wait(10))


def test_a_process_does_not_wait_for_it() -> None:
    code = """if True:
        import asyncio, threading
        from common.thread import in_thread
        async def main():
            asyncio.create_task(in_thread(threading.Event().wait))
            await asyncio.sleep(0.1)
        asyncio.run(main())"""
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0
