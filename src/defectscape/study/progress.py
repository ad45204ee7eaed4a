"""How far the jobs of a study are, from the files that they and Snakemake leave; nothing is written or locked.

Snakemake marks the outputs of a job when it hands it out and takes the marks away when the job has ended, well or
badly; a job that fails leaves no output. So a job whose outputs are there without a mark is done, one with a mark is
at work, and one without outputs has failed if it has a log or Snakemake's log says so.
"""

import os
import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import psutil

from defectscape.study.jobs import Job
from defectscape.study.layout import PARTIAL

State = Literal["done", "running", "queued", "failed", "left"]
"""``queued``: handed to a batch system, or about to begin."""

SILENT = "no reason in its log: ended from outside (memory, time limit, a person), or by an error of the program"
NOT_BEGUN = "it ended before its log began; the newest file in .snakemake/log has more"
LOGS_READ = 5
"""Snakemake's logs that are read for jobs that failed: the newest ones."""
TAIL_BYTES = 16384
"""A log's end that is read for the reason of a failure."""


@dataclass(frozen=True)
class JobProgress:
    """A job and how far it is.

    Attributes:
        job: the job.
        state: done, running, queued, failed or left.
        since_s: when it was handed out, seconds since the epoch; None unless it is running or queued.
        reason: why it failed; empty otherwise.
    """

    job: Job
    state: State
    since_s: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Snakemake:
    """What Snakemake's folders and this machine's processes say.

    Attributes:
        marks: outputs of jobs that were handed out and have not ended, with the time of that, seconds since the epoch.
        failures: outputs of jobs that failed in the last runs, with the time of that.
        locked: whether the working directory is locked.
        process: number of a snakemake process at work in it on this machine, or None.
    """

    marks: dict[Path, float]
    failures: dict[Path, float]
    locked: bool
    process: int | None

    @classmethod
    def look(cls, folders: Iterable[Path]) -> "Snakemake":
        """Read the ``.snakemake`` of working directories."""
        marks: dict[Path, float] = {}
        failures: dict[Path, float] = {}
        locked, places = False, list(dict.fromkeys(folder.absolute() for folder in folders))
        for place in places:
            own = place / ".snakemake"
            locked = locked or any((own / "locks").glob("*.lock"))
            marks |= {Path(os.path.normpath(place / path)): since for path, since in _marks(own / "incomplete")}
            for log in sorted((own / "log").glob("*.snakemake.log"))[-LOGS_READ:]:
                failures |= {Path(os.path.normpath(place / path)): when for path, when in _failures(log)}
        return cls(marks, failures, locked, _process_in(places))


def _marks(folder: Path) -> list[tuple[str, float]]:
    """Marked outputs as Snakemake names them; a long name is spread over folders that begin with an ``@``."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            text = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            try:
                found.append((urlsafe_b64decode(text).decode(), path.stat().st_mtime))
            except (NotBase64, UnicodeDecodeError, OSError):
                # Another file of Snakemake's, or the job has ended meanwhile.
                continue
    return found


_TIME = re.compile(r"^\[(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]$")
_OUTPUT = "    output: "


def _failures(log: Path) -> list[tuple[str, float]]:
    """Outputs of the jobs that a log of Snakemake's says failed, with the time."""
    found = []
    time_s, in_error = 0.0, False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        stamp = _TIME.match(line)
        if stamp:
            time_s = datetime.strptime(stamp[1], "%a %b %d %H:%M:%S %Y").timestamp()
        elif line.startswith("Error in rule "):
            in_error = True
        elif in_error and line.startswith(_OUTPUT):
            found += [(path, time_s) for path in line.removeprefix(_OUTPUT).split(", ")]
        elif not line.startswith("    "):
            in_error = False
    return found


def _process_in(places: Sequence[Path]) -> int | None:
    """A snakemake process that is at work in one of these folders; this user's alone can be seen."""
    real = {os.path.realpath(place) for place in places}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            # What makes a partial page works beside the study, not on it.
            if f"{PARTIAL}=true" in words or not _is_snakemake(words):
                continue
            if process.cwd() in real:
                return int(process.pid)
        except (psutil.Error, OSError):
            continue
    return None


def _is_snakemake(words: Sequence[str]) -> bool:
    """Whether a command line is snakemake's: the script, or ``python -m snakemake``; not one that reads its log."""
    names = [Path(word).name for word in words[:3]]
    return bool(names) and "snakemake" in (names if names[0].startswith("python") else names[:1])


def progress_of(jobs: Iterable[Job], snakemake: Snakemake) -> list[JobProgress]:
    """How far jobs are, in their order."""
    return [_progress(job, snakemake) for job in jobs]


def _progress(job: Job, snakemake: Snakemake) -> JobProgress:
    outputs = [Path(os.path.normpath(path.absolute())) for path in job.outputs]
    begun = [snakemake.marks[path] for path in outputs if path in snakemake.marks]
    log_s = _changed(job.log)
    if begun and (snakemake.locked or snakemake.process is not None):
        at_work = log_s is not None and log_s >= min(begun) - 1.0
        return JobProgress(job, "running" if at_work else "queued", min(begun))
    if begun:
        return JobProgress(job, "failed", None, "it was interrupted: snakemake ended while it worked")
    if all(path.exists() for path in outputs):
        return JobProgress(job, "done")
    ended_s = _changed(job.benchmark) or 0.0
    failed_s = max([log_s or 0.0, *(snakemake.failures.get(path, 0.0) for path in outputs)])
    # A benchmark is written when a job has ended well: outputs that people delete are no failure.
    if failed_s <= ended_s:
        return JobProgress(job, "left")
    return JobProgress(job, "failed", None, reason_in(job.log))


def _changed(path: Path) -> float | None:
    """When a file was last written, seconds since the epoch; None if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def reason_in(log: Path) -> str:
    """The error that a job's log ends with."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return NOT_BEGUN
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else SILENT


def stopped_at(progress: Sequence[JobProgress]) -> JobProgress | None:
    """The first job that failed, else the first that is not done; None if all are."""
    open_jobs = [item for item in progress if item.state != "done"]
    failed = [item for item in open_jobs if item.state == "failed"]
    return next(iter([*failed, *open_jobs]), None)
