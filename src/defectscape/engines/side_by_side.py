"""Labels side by side within one job: each engine has cores of its own, and all are done before the job's time is.

A thread for each label that runs at a time waits for its engine, which computes in processes of its own. Whatever a
thread starts inherits the processors that the thread may use.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock

import psutil

from defectscape.domain.errors import DefectscapeError, JobError
from defectscape.domain.frame import Frame
from defectscape.engines.base import Engine
from defectscape.engines.labelling import Meter, find_or_compute, own_order
from defectscape.engines.processor_time import clock_of, thread_core_seconds
from defectscape.store.labels import LabelStore
from defectscape.store.record import LabelRecord

logger = logging.getLogger(__name__)

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
UNBOUND = {"OMPI_MCA_hwloc_base_binding_policy": "none", "PRTE_MCA_hwloc_default_binding_policy": "none"}
"""Open MPI's launchers, 4 and 5, bind ranks from the node's first core on, each as if it were alone there."""


@dataclass(frozen=True)
class Room:
    """What a job has for its labels.

    Attributes:
        cores: of the job.
        label_cores: cores of one label.
        threads: that an engine's process may have.
        label_s: expected wall time of a label, s.
        ends_at: when the job must have ended, Unix time, s; None where nobody ends it.
    """

    cores: int
    label_cores: int
    threads: int
    label_s: float
    ends_at: float | None = None

    @property
    def side_by_side(self) -> int:
        """How many labels run at a time."""
        return max(1, self.cores // self.label_cores)

    def processors(self, usable: Sequence[int]) -> list[set[int]]:
        """The processors of each label that runs at a time, of those that the job may use; all of them if it has none.

        A batch system that confines a job tells it which are its own. Where more are usable than the job has, others
        work on them, too, and the system places processes better than we could.
        """
        if len(usable) != self.cores or self.side_by_side == 1:
            return [set(usable)] * self.side_by_side
        size, ordered = self.label_cores, sorted(usable)
        return [set(ordered[size * place : size * (place + 1)]) for place in range(self.side_by_side)]


class _Work:
    """The labels of a job, as its threads share them."""

    def __init__(self, frames: Sequence[Frame], room: Room, title: str) -> None:
        self.room = room
        self.records: dict[int, LabelRecord] = {}
        self.meter = Meter(title, len(frames), room.side_by_side)
        self._waiting = deque(own_order(len(frames)))
        self._lock = Lock()

    def take(self) -> int | None:
        """The next frame; None if there is none, or no time for one."""
        with self._lock:
            return self._waiting.popleft() if self._waiting and self.has_time else None

    @property
    def has_time(self) -> bool:
        """Whether a label that takes as long as the longest so far would end in time."""
        ends_at = self.room.ends_at
        return ends_at is None or time.time() + (self.meter.longest_s or self.room.label_s) <= ends_at

    def add(self, index: int, record: LabelRecord, seconds: float, *, computed: bool) -> None:
        """A label that is done."""
        with self._lock:
            self.records[index] = record
            self.meter.add(record, seconds, computed=computed)


def label_side_by_side(
    frames: Sequence[Frame],
    make: Callable[[], Engine],
    store: LabelStore,
    max_force_eV_A: float,
    progress: str,
    room: Room,
) -> list[LabelRecord]:
    """Records of many frames, in their order.

    An engine that cannot run ends its own turn alone: what the others can compute is in the store before the job fails.

    Args:
        frames, store, max_force_eV_A, progress: as for ``label_frames``.
        make: makes an engine; each that computes at a time has its own.
        room: the job's cores and time.

    Raises:
        JobError: if labels are left when the job must end.
        DefectscapeError: as ``label_frame``, the first of them.
    """
    work = _Work(frames, room, progress)

    def turn(processors: set[int]) -> None:
        _stay_on(processors)
        engine = make()
        clock = clock_of(engine, without=thread_core_seconds)
        while (index := work.take()) is not None:
            began = time.perf_counter()
            record, computed = find_or_compute(frames[index], engine, store, max_force_eV_A, clock)
            work.add(index, record, time.perf_counter() - began, computed=computed)

    with _told_to_engines(room), ThreadPoolExecutor(room.side_by_side) as threads:
        turns = [threads.submit(turn, processors) for processors in room.processors(usable_processors())]
        by_themselves = _await(turns, room.ends_at)
    for item in turns:
        error = item.exception()
        # What engines say that were ended here is of our own making.
        if error is not None and (item in by_themselves or not isinstance(error, DefectscapeError)):
            raise error
    work.meter.end()
    if len(work.records) < len(frames):
        raise _out_of_time(work)
    return [work.records[index] for index in range(len(frames))]


def usable_processors() -> list[int]:
    """The processors that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _stay_on(processors: set[int]) -> None:
    """Keep this thread, and whatever it starts, on some processors."""
    if processors:
        os.sched_setaffinity(0, processors)  # 0 is the calling thread


@contextmanager
def _told_to_engines(room: Room) -> Iterator[None]:
    """Environment variables of what engines start: threads for each process, and who places them."""
    told = dict.fromkeys(THREADS, str(room.threads))
    if room.side_by_side > 1:
        told |= {name: os.environ.get(name, value) for name, value in UNBOUND.items()}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _await(turns: Sequence[Future[None]], ends_at: float | None) -> set[Future[None]]:
    """Wait for all turns; those that ended by themselves. What runs at the end of the job's time is ended."""
    by_themselves, late = wait(turns, None if ends_at is None else max(0.0, ends_at - time.time()))
    if late:
        logger.warning("%d labels are not done at the end of the job's time, and are ended", len(late))
    while late:
        # Parents come first: one that outlived its program would take the program's end for a result.
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, late = wait(late, 1.0, FIRST_EXCEPTION)
    return by_themselves


def _out_of_time(work: _Work) -> JobError:
    meter = work.meter
    took = f" Labels took {meter.computing_s / meter.computed:.0f} s here" if meter.computed else " No label ended here"
    return JobError(
        meter.title,
        f"{meter.total - meter.done} of {meter.total} labels are left at the end of the job's time",
        "Run it again, as `retries` of a profile does: it goes on from the store."
        f"{took}, and the study's packing says {work.room.label_s:g} s",
    )
