"""Running an external program: in a scratch folder of its own, within a time, ended with its children.

Whatever happens to a calculation, its folder is removed and no process of it is left behind. A
killed labelling job cannot clean up, so it holds a lock on its folder while it lives, and the next
job on the same machine removes the folders whose locks are free. A process's number would not do:
containers that share a folder count their processes each for itself.
"""

import contextlib
import ctypes
import fcntl
import logging
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.errors import EngineError
from defectscape.engines.base import CalculationFailed
from defectscape.engines.processor_time import wait_for_program

logger = logging.getLogger(__name__)

PREFIX = "defectscape"
LOCK = "owner.lock"
TAIL_CHARACTERS = 20_000
"""How much of a program's output is searched for the reason of its failure."""

MORE_MEMORY = (
    "Nothing was recorded. Give the rule more memory (--set-resources label:mem_mb=...) or run fewer "
    "at once, then start again; a profile with `retries` does both by itself"
)

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that a program does not get by its own fault: from the kernel out of memory, a batch system, a person."""

_RANK_ENDED = re.compile(r"on signal 9\b|\(signal 9\)|oom[-_]kill", re.IGNORECASE)
"""What Open MPI, MPICH and Slurm print where a process they started was ended so."""

_ABORTED = re.compile("mpi_abort", re.IGNORECASE)
"""A program that gives up by itself has its launcher kill the other processes: that is its own failure."""

_NO_MEMORY = re.compile(
    r"^.*(?:out of memory|cannot allocate memory|not enough memory|insufficient (?:virtual )?memory|bad_alloc"
    r"|exceed memory limit|failed to allocate|error allocating).*$",
    re.IGNORECASE | re.MULTILINE,
)
"""What compilers' libraries and programs print where memory was refused to them."""

_NO_ROOM = re.compile(r"^.*(?:no space left on device|disk quota exceeded).*$", re.IGNORECASE | re.MULTILINE)
"""What they print where the disk was full."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
"""Loaded here and not where it is used, between fork and exec of a process that may have threads."""


@dataclass(frozen=True)
class Finished:
    """A program that ended by itself.

    Attributes:
        returncode: its exit status.
        output: the end of what it printed, standard error included.
    """

    returncode: int
    output: str


@contextlib.contextmanager
def scratch_folder(parent: Path | None) -> Iterator[Path]:
    """A folder for one calculation, removed with all that is in it.

    Args:
        parent: where to make it; the system's temporary folder if None.

    Raises:
        EngineError: if it cannot be made.
    """
    base = Path(tempfile.gettempdir()) if parent is None else parent
    try:
        base.mkdir(parents=True, exist_ok=True)
        _remove_orphans(base)
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{_node()}-", dir=base))
        lock = (folder / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise EngineError(f"scratch folder {base}", error.strerror or error, "Give another engine.scratch") from error
    try:
        yield folder
    finally:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _node() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "host"


def _remove_orphans(base: Path) -> None:
    """Remove folders of jobs of this machine that are no more."""
    for folder in base.glob(f"{PREFIX}-{_node()}-*"):
        try:
            with (folder / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Its owner lives, or it is only being made, or it is not ours to judge.
            continue
        logger.info("removing %s, left by a job that was killed", folder)
        shutil.rmtree(folder, ignore_errors=True)


def run_program(command: str, arguments: list[str], folder: Path, time_limit_s: float) -> Finished:
    """Run a program in ``folder``, without a shell, one thread, no standard input.

    Raises:
        CalculationFailed: if it took longer than ``time_limit_s``; another attempt would take as long.
        EngineError: if there is no such program, if somebody else ended it, or if it had not enough memory or disk:
            that says nothing of the calculation, so it must not become the calculation's result.
    """
    words = [*shlex.split(command), *arguments]
    output = folder / "program.out"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    # What the user exported counts: a command with OpenMP threads needs OMP_NUM_THREADS.
    environment = {**threads, **os.environ}
    try:
        with output.open("wb") as sink:
            process = subprocess.Popen(
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise EngineError(
            f"program {words[0]}",
            error.strerror or error,
            "Install it, or correct engine.command; labels in the store need no program",
        ) from error
    try:
        returncode = wait_for_program(process, time_limit_s)
    except subprocess.TimeoutExpired:
        raise CalculationFailed(
            f"{words[0]} had not ended after {time_limit_s:g} s (engine.time_limit_s)",
            hopeless=True,
        ) from None
    finally:
        _end(process)
    finished = Finished(returncode, tail(output))
    told = returncode and _RANK_ENDED.search(finished.output)
    if (told or ended_from_outside(returncode)) and not _ABORTED.search(finished.output):
        raise ended_error(words[0], returncode)
    if returncode:
        _refuse_starved(words[0], finished.output)
    return finished


def ended_from_outside(returncode: int) -> bool:
    """Whether a program's status says that it was ended by another: the signal's own, or a launcher's 128 + signal."""
    return any(returncode in (-number, 128 + number) for number in FROM_OUTSIDE)


def ended_error(name: str, returncode: int) -> EngineError:
    """What to say of it. The job fails without a record, so it is computed when the job runs again."""
    return EngineError(
        f"program {name}", f"ended from outside (status {returncode}), often because memory ran out", MORE_MEMORY
    )


def _refuse_starved(name: str, output: str) -> None:
    """A program that failed for want of memory or disk says nothing of its calculation, either. Raises EngineError."""
    for pattern, lacking, remedy in (
        (_NO_MEMORY, "memory", MORE_MEMORY),
        (_NO_ROOM, "room on its disk", "Nothing was recorded. Make room, or set engine.scratch, then start again"),
    ):
        if found := pattern.search(output):
            said = " ".join(found.group(0).split())
            raise EngineError(f"program {name}", f"had not enough {lacking} ({said})", remedy)


def die_with_parent() -> None:
    """Have the kernel end this process if the labelling job is killed (Linux alone can)."""
    with contextlib.suppress(OSError, AttributeError):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all it started; they are a session of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    wait_for_program(process)


def tail(path: Path) -> str:
    """The last of a program's output. Raises OSError if there is none."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL_CHARACTERS))
        return file.read().decode("utf-8", errors="replace")
