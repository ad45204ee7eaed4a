"""A process that answers one question after another through a pipe, from its start to its end."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import psutil

from defectscape.domain.errors import EngineError
from defectscape.engines.base import CalculationFailed
from defectscape.engines.processor_time import forget_worker, report_worker
from defectscape.engines.program import die_with_parent, ended_error, ended_from_outside


@dataclass(frozen=True)
class Language:
    """How both sides write what they say."""

    send: Callable[[Connection, Any], None]
    receive: Callable[[Connection], Any]


PICKLES = Language(Connection.send, Connection.recv)
"""For this package's own objects, in a process of this Python."""

PLAIN = Language(
    lambda connection, content: connection.send_bytes(json.dumps(content).encode()),
    lambda connection: json.loads(connection.recv_bytes()),
)
"""JSON, for a process of any Python: it makes no objects here."""

START_LIMIT_S = 600.0
"""Imports from a slow network disk take minutes; one that takes longer hangs."""


class WorkerProcess:
    """A process and our end of the pipe to it.

    ``core_s`` is the processor time that it had used at its last answer, s; it stays when the process has ended.

    Args:
        command: the program and its arguments; the number of its end of the pipe is added to them.
        environment: its environment variables.
        language: how it is spoken to.
        name: the engine's, for messages.

    Raises:
        EngineError: if there is no such program.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], language: Language, name: str) -> None:
        ours, theirs = Pipe()
        self._connection: Connection = ours
        self._language = language
        self._name = name
        self.core_s = 0.0
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise EngineError(
                f"program {command[0]} of engine {name}", error.strerror or error, "Give the path of a program"
            ) from error
        finally:
            theirs.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._end()

    @property
    def number(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._connection.closed and self._process.poll() is None

    def greet(self, *first: Any, time_limit_s: float = START_LIMIT_S) -> Any:
        """Tell it what it must know first, if anything, and wait for its first words.

        Args:
            first: in the worker's language.
            time_limit_s: wall time after which it is ended, s.

        Raises:
            EngineError: if it ends instead, or says nothing in time.
        """
        try:
            for content in first:
                self._language.send(self._connection, content)
            if not self._connection.poll(time_limit_s):
                self._end()
                raise EngineError(
                    f"engine {self._name}",
                    f"had not started after {time_limit_s:g} s",
                    "Start its Python and import what it needs by hand, and look for what it waits for",
                )
            return self._language.receive(self._connection)
        except (EOFError, ConnectionError):
            raise EngineError(
                f"engine {self._name}",
                f"its process ended at once: {_in_words(self._end())}",
                "Look at the log for its last words",
            ) from None

    def ask(self, question: Any, time_limit_s: float | None) -> Any:
        """Ask, and wait for the answer.

        Args:
            question: in the worker's language.
            time_limit_s: wall time after which it is ended, s; None for no limit.

        Raises:
            CalculationFailed: if it dies or takes too long.
            EngineError: if somebody else ended it.
        """
        try:
            self._language.send(self._connection, question)
            if not self._connection.poll(time_limit_s):
                self._end()
                raise CalculationFailed(
                    f"{self._name} had not ended after {time_limit_s:g} s (engine.time_limit_s)",
                    hopeless=True,
                )
            answer, core_s = self._language.receive(self._connection)
        except (EOFError, ConnectionError):
            status = self._end()
            if status is not None and ended_from_outside(status):
                raise ended_error(f"of {self._name}", status) from None
            raise CalculationFailed(f"the process of {self._name} died: {_in_words(status)}") from None
        self.core_s = core_s
        report_worker(self._process.pid, core_s)
        return answer

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
    """What a calculation started: a program of its own (CP2K's shell), which would go on without it."""
    try:
        return psutil.Process(process).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _in_words(status: int | None) -> str:
    if status is None:
        return "no answer"
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


class WorkerClock:
    """Processor time of workers that follow one another: what those that ended had used counts, too."""

    def __init__(self) -> None:
        self._ended_s = 0.0
        self._worker: WorkerProcess | None = None

    def follow(self, worker: WorkerProcess) -> None:
        """A worker takes the place of the one before."""
        self._ended_s = self()
        self._worker = worker

    def __call__(self) -> float:
        """Up to the last answers, s; a calculation in which a worker died counts nothing."""
        return self._ended_s + (self._worker.core_s if self._worker else 0.0)
