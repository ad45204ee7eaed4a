"""Engines that are libraries, at arm's length: a crash or an endless calculation costs one label.

A library shares its process with whoever calls it. A segmentation fault in one calculation would end
the labelling job, again at every retry; a calculation that never returns would hold it for ever. So
these engines run in a process of their own (``worker.py``), one per job, which is started again when
it dies.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil

from defectscape.domain.errors import EngineError, LabelError
from defectscape.domain.frame import Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Engine
from defectscape.engines.processor_time import forget_worker, report_worker, worker_seconds
from defectscape.engines.program import ended_error, ended_from_outside

logger = logging.getLogger(__name__)


class IsolatedEngine:
    """The engine of these settings, computing in another process.

    Args:
        engine: the same engine here: it says the name, the version and what a key holds.
        settings: what the worker makes its engine from.
        time_limit_s: wall time after which one calculation is ended and fails, s; None for no limit.
    """

    def __init__(self, engine: Engine, settings: Any, time_limit_s: float | None) -> None:
        self.engine = engine
        self.settings = settings
        self.name = engine.name
        self.version = engine.version
        self.settings_json = engine.settings_json
        self.attempts = engine.attempts
        self._time_limit_s = time_limit_s
        self._worker: _Worker | None = None

    def settings_of(self, numbers: Ints) -> str:
        """As the engine's."""
        return self.engine.settings_of(numbers)

    def core_seconds(self) -> float:
        """Processor time that its process has used so far, s."""
        return worker_seconds(None if self._worker is None else self._worker.number)

    def compute(self, frame: Frame, attempt: int) -> Label:
        """As the engine's.

        Raises:
            CalculationFailed: as the engine, and if its process dies or takes too long.
            EngineError: as the engine, and if somebody else ended its process.
        """
        if self._worker is None or not self._worker.alive:
            self._worker = _Worker(self.settings)
        return self._worker.compute(frame, attempt, self._time_limit_s, self.name)


class _Worker:
    """A worker process and our end of the pipe to it."""

    def __init__(self, settings: Any) -> None:
        ours, theirs = Pipe()
        # Modules come from where ours come from, and never from the working folder: a study from
        # somebody else may hold files with the names of modules.
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": paths}
        self._connection: Connection = ours
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "defectscape.engines.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            self._connection.send(settings)
            self._connection.recv()
        except (EOFError, ConnectionError):
            raise EngineError(
                f"engine {settings.kind}",
                f"its process ended at once: {_in_words(self._end())}",
                "Look at the log for its last words",
            ) from None

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._end()

    @property
    def number(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._connection.closed and self._process.poll() is None

    def compute(self, frame: Frame, attempt: int, time_limit_s: float | None, name: str) -> Label:
        """Ask, and wait for the answer."""
        try:
            self._connection.send((frame, attempt))
            if not self._connection.poll(time_limit_s):
                self._end()
                raise CalculationFailed(
                    f"{name} had not ended after {time_limit_s:g} s (engine.time_limit_s)",
                    hopeless=True,
                )
            (kind, *content), core_s = self._connection.recv()
        except (EOFError, ConnectionError):
            status = self._end()
            if status is not None and ended_from_outside(status):
                raise ended_error(f"of {name}", status) from None
            raise CalculationFailed(f"the process of {name} died: {_in_words(status)}") from None
        report_worker(self._process.pid, core_s)
        return _answer(kind, content)

    def _end(self) -> int | None:
        """End it; its status if it had ended by itself."""
        self._connection.close()
        try:
            # It may be on its way out already: give its own reason the chance to be known.
            status = self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            status = None
            started = _descendants(self._process.pid)
            self._process.kill()
            self._process.wait()
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        forget_worker(self._process.pid)
        return status


def _descendants(process: int) -> list[psutil.Process]:
    """What a calculator started: a program of its own (CP2K's shell), which would go on without it."""
    try:
        return psutil.Process(process).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _in_words(status: int | None) -> str:
    if status is None:
        return "no answer"
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _answer(kind: str, content: list[Any]) -> Label:
    if kind == "failed":
        raise CalculationFailed(content[0], hopeless=content[1])
    if kind == "label error":
        raise LabelError(*content)
    if kind == "engine error":
        raise EngineError(*content)
    label: Label = content[0]
    return label
