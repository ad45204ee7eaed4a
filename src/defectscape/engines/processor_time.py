"""Processor time of this process and of everything that it has computed elsewhere."""

import os
from collections.abc import Callable

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


def clock_of(engine: object) -> Callable[[], float]:
    """Processor time of an engine's own worker, where it has one: others may compute beside it."""
    inner = engine
    while not hasattr(inner, "core_seconds"):
        if not hasattr(inner, "engine"):
            return core_seconds
        inner = inner.engine
    clock: Callable[[], float] = inner.core_seconds
    return clock
