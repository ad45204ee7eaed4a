"""Engines that are libraries, at arm's length: a crash or an endless calculation costs one label.

A library shares its process with whoever calls it. A segmentation fault in one calculation would end
the labelling job, again at every retry; a calculation that never returns would hold it for ever. So
these engines run in a process of their own (``worker.py``), one per job, which is started again when
it dies.
"""

import os
import sys
from typing import Any

from defectscape.domain.errors import EngineError, LabelError
from defectscape.domain.frame import Frame, Ints
from defectscape.domain.label import Label
from defectscape.engines.base import CalculationFailed, Engine
from defectscape.engines.worker_process import PICKLES, WorkerClock, WorkerProcess


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
        self._worker: WorkerProcess | None = None
        self.core_seconds = WorkerClock()

    def settings_of(self, numbers: Ints) -> str:
        """As the engine's."""
        return self.engine.settings_of(numbers)

    def compute(self, frame: Frame, attempt: int) -> Label:
        """As the engine's.

        Raises:
            CalculationFailed: as the engine, and if its process dies or takes too long.
            EngineError: as the engine, and if somebody else ended its process.
        """
        if self._worker is None or not self._worker.alive:
            self._worker = self._start()
            self.core_seconds.follow(self._worker)
        kind, *content = self._worker.ask((frame, attempt), self._time_limit_s)
        return _answer(kind, content)

    def _start(self) -> WorkerProcess:
        # Modules come from where ours come from, and never from the working folder: a study from
        # somebody else may hold files with the names of modules.
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": paths}
        command = [sys.executable, "-P", "-m", "defectscape.engines.worker"]
        worker = WorkerProcess(command, environment, PICKLES, self.name)
        worker.greet(self.settings)
        return worker


def _answer(kind: str, content: list[Any]) -> Label:
    if kind == "failed":
        raise CalculationFailed(content[0], hopeless=content[1])
    if kind == "label error":
        raise LabelError(*content)
    if kind == "engine error":
        raise EngineError(*content)
    label: Label = content[0]
    return label
