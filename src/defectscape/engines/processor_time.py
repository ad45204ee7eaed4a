"""Processor time of this process and of everything that it has computed elsewhere."""

import os
import subprocess
import threading
import time
from collections.abc import Callable

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.0005, 0.05
_running: dict[int, float] = {}
"""Processor time of live workers by process number, s; once waited for, the system counts them."""


def core_seconds() -> float:
    """Processor time of this process, of programs it waited for, and of its live workers, s."""
    return own_core_seconds() + sum(_running.values())


def own_core_seconds() -> float:
    """Processor time of this process and of programs it waited for, s: what a worker reports."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def report_worker(process: int, core_s: float) -> None:
    """Note what a live worker has used so far."""
    _running[process] = core_s


def forget_worker(process: int) -> None:
    """The worker has ended and was waited for."""
    _running.pop(process, None)


_of_programs = threading.local()
"""Processor time of the programs that each thread waited for, s."""


def wait_for_program(process: subprocess.Popen[bytes], time_limit_s: float | None = None) -> int:
    """Wait for a program; its status. What it took counts for the thread that waits, others may wait beside it.

    Raises:
        subprocess.TimeoutExpired: if it has not ended in time.
    """
    ends_at = None if time_limit_s is None else time.monotonic() + time_limit_s
    pause_s = SHORTEST_WAIT_S
    while process.returncode is None:
        found, status, usage = os.wait4(process.pid, 0 if ends_at is None else os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            _of_programs.core_s = getattr(_of_programs, "core_s", 0.0) + usage.ru_utime + usage.ru_stime
        elif ends_at is not None and time.monotonic() > ends_at:
            raise subprocess.TimeoutExpired(process.args, time_limit_s or 0.0)
        else:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_WAIT_S)
    return process.returncode


def thread_core_seconds() -> float:
    """Processor time of this thread and of the programs that it waited for, s."""
    waited_s: float = getattr(_of_programs, "core_s", 0.0)
    return time.thread_time() + waited_s


def clock_of(engine: object, without: Callable[[], float] = core_seconds) -> Callable[[], float]:
    """Processor time of an engine's own worker, where it has one: others may compute beside it.

    Args:
        engine: the engine.
        without: the clock of an engine that has no worker.
    """
    inner = engine
    while not hasattr(inner, "core_seconds"):
        if not hasattr(inner, "engine"):
            return without
        inner = inner.engine
    clock: Callable[[], float] = inner.core_seconds
    return clock
