"""Processes that are ended in the middle of their work, and engines that hang, crash or give nonsense."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from defectscape.store.record import timestamp_now
from support.faulty_study import GROUP, LOW, SEARCHED, Study
from support.outcomes import report

pytestmark = pytest.mark.fault


# Processes that are ended in the middle of their work.


def children(process: int) -> list[int]:
    """Process numbers of all descendants."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False)
    own = [int(word) for word in found.stdout.split()]
    return own + [more for child in own for more in children(child)]


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def labelling_jobs(process: int) -> list[int]:
    return [
        child for child in children(process) if " label v_Cd" in (line := command_line(child)) and "bash" not in line
    ]


ENDS = [
    (
        "everything killed (SIGKILL: out of memory, power)",
        signal.SIGKILL,
        "Nothing at the time; the next start asks for `snakemake --unlock`",
    ),
    (
        "snakemake terminated (SIGTERM)",
        signal.SIGTERM,
        "Snakemake waits for the running jobs, then stops",
    ),
    (
        "Ctrl-C (SIGINT)",
        signal.SIGINT,
        "Snakemake stops its jobs and says how many steps are done",
    ),
]


@pytest.mark.parametrize(("how", "signal_number", "seen"), ENDS, ids=["SIGKILL", "SIGTERM", "SIGINT"])
def test_the_workflow_ended_while_it_labels(pooled: Study, how, signal_number, seen) -> None:
    pooled.faults(sleep_s=0.3)
    running = pooled.start(*LOW)
    before = pooled.wait_for_labels(4, running)
    if signal_number == signal.SIGTERM:
        os.kill(running.pid, signal_number)
    else:
        os.killpg(running.pid, signal_number)
    killed_at = timestamp_now()
    running.communicate(timeout=120)
    pooled.faults()
    pooled.finish(*LOW)
    assert len(pooled.done()) == 24
    report(
        how,
        "Started again, it goes on after the last finished label",
        seen,
        pooled.store,
        before,
        killed_at=killed_at,
    )


def test_snakemake_killed_while_its_jobs_go_on(pooled: Study) -> None:
    pooled.faults(sleep_s=0.4)
    running = pooled.start(*LOW)
    before = pooled.wait_for_labels(4, running)
    jobs = labelling_jobs(running.pid)
    assert len(jobs) == 2
    os.kill(running.pid, signal.SIGKILL)
    # Started again at once: four jobs are at work on two lists of frames.
    pooled.finish(*LOW)
    for job in jobs:
        while command_line(job):
            time.sleep(0.1)
    assert len(pooled.done()) == 24
    report(
        "snakemake killed, its jobs go on, started again at once",
        "Old and new jobs label side by side; the first to finish a label wins",
        "Nothing; progress counts more labels from the store",
        pooled.store,
        before,
        most_twice=12,
    )


def test_a_labelling_job_killed(pooled: Study) -> None:
    pooled.faults(sleep_s=0.3)
    running = pooled.start(*LOW)
    before = pooled.wait_for_labels(4, running)
    os.kill(labelling_jobs(running.pid)[0], signal.SIGKILL)
    killed_at = timestamp_now()
    text = running.communicate(timeout=120)[0]
    assert running.returncode != 0
    assert "Error in rule label" in text
    pooled.faults()
    pooled.finish(*LOW)
    assert len(pooled.done()) == 24
    report(
        "one labelling job killed",
        "The other jobs go on; the next start labels what is missing",
        "`Error in rule label`, with the job's log",
        pooled.store,
        before,
        killed_at=killed_at,
    )


def test_an_engine_s_process_killed(pooled: Study) -> None:
    pooled.faults(sleep_s=0.3)
    running = pooled.start(*LOW)
    before = pooled.wait_for_labels(4, running)
    engines = [
        child
        for job in labelling_jobs(running.pid)
        for child in children(job)
        if "engines.worker" in command_line(child)
    ]
    os.kill(engines[0], signal.SIGKILL)
    text = running.communicate(timeout=120)[0]
    assert running.returncode != 0
    assert "Error in rule label" in text
    assert all(record.label is not None for record in pooled.store.records())
    logs = [path.read_text() for path in pooled.folder.glob("results/small/logs/label/*.log")]
    assert sum("ended from outside" in log for log in logs) == 1
    pooled.faults()
    pooled.finish(*LOW)
    assert len(pooled.done()) == 24
    report(
        "an engine's process killed while its job lives (memory ran out)",
        "The job ends, without a record: it is no result of the calculation. Run again, by `retries` with twice the "
        "memory, it labels what is missing",
        "`Error in rule label`, and `ended from outside` in the job's log",
        pooled.store,
        before,
    )


def _kill_when(ready: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    """End the work, all its processes, as soon as it is so far."""
    deadline = time.monotonic() + 180
    while not ready():
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_a_training_killed(trained: Study) -> None:
    model = trained.folder / GROUP / "round_0/model_0.weights"
    history = json.loads(model.with_suffix(".json").read_text())
    reference = model.read_bytes()
    for name in ("model_0.weights", "model_0.model", "model_0.json"):
        (trained.folder / GROUP / "round_0" / name).unlink()
    target = f"{GROUP}/round_0/model_0.weights"
    running = trained.start(target)
    folder = trained.folder / GROUP / "round_0"
    _kill_when(lambda: any(folder.glob("*checkpoint*")), running)
    before = trained.done()
    trained.finish(target)
    again = json.loads(model.with_suffix(".json").read_text())
    assert model.read_bytes() == reference, "the weights are not those of an unbroken training"
    assert again["validations"] == history["validations"]
    report(
        "a training killed and started again",
        "It goes on from its checkpoint; the weights are those of an unbroken training to the bit",
        "`continuing from step ...` in its log",
        trained.store,
        before,
    )


def test_a_search_killed(trained: Study) -> None:
    reference = (trained.folder / SEARCHED).read_text()
    (trained.folder / SEARCHED).unlink()
    running = trained.start(SEARCHED)
    log = trained.folder / "results/small/logs/search/v_Cd_0.log"
    log.unlink(missing_ok=True)
    _kill_when(lambda: log.exists() and "relax" in log.read_text(), running)
    before = trained.done()
    trained.finish(SEARCHED)
    assert (trained.folder / SEARCHED).read_text() == reference
    report(
        "a search killed and started again",
        "It is made again from its start, with the same outcome to the bit; it needs no label",
        "Snakemake asks for `--unlock`, as after every kill",
        trained.store,
        before,
    )


def test_clocks_that_disagree(trained: Study) -> None:
    """A node whose clock is an hour slow: what it wrote looks older than what it was made from."""
    before, calls = trained.done(), len(trained.store.calls())
    hour_ago = time.time() - 3600
    for target in LOW:
        os.utime(trained.folder / target, (hour_ago, hour_ago))
    for path in trained.folder.glob("labels/records/*/*.json"):
        os.utime(path, (hour_ago, hour_ago))
    done = trained.run(SEARCHED)
    assert done.returncode == 0, done.stderr
    # Also where the jobs do run again.
    again = trained.run("--forcerun", "label", "--rerun-incomplete", SEARCHED)
    assert again.returncode == 0, again.stderr
    assert "Finished jobid" in again.stdout + again.stderr
    assert len(trained.store.calls()) == calls, "an engine was called"
    report(
        "a node's clock an hour slow",
        "Snakemake compares the contents of small files besides times, so little runs again; what "
        "does takes its labels from the store",
        "At most labelling jobs that end at once",
        trained.store,
        before,
    )


# Engines that hang, crash, give nonsense, or answer for another structure.


CASES = {
    "hangs": ("had not ended after 10 s", "ended after `engine.time_limit_s`"),
    "crashes": ("SIGSEGV", "its process died; it has one of its own, which is started again"),
    "is not finite": ("NaN or infinity", "a number that is not finite is refused"),
    "does not converge": ("no convergence", "all of the engine's attempts were made"),
    "is of another structure": ("another structure", "the structure in the output is compared"),
}


@pytest.mark.parametrize("habit", CASES)
def test_one_bad_calculation_costs_itself(here: Study, habit: str) -> None:
    words, why = CASES[habit]
    here.faults(habits={here.name(5): habit})
    here.label_all()
    failures = [record.failure for record in here.store.records() if record.label is None]
    assert len(failures) == 1
    assert words in failures[0]
    assert len(here.done()) == 23
    # The failure is known: it is not tried again.
    calls = len(here.store.calls())
    here.label_all()
    assert len(here.store.calls()) == calls
    report(
        f"an engine's calculation {habit}",
        f"A recorded failure, never trained on: {why}",
        "`1 failed` in the progress, the reason in the failures' table of the report",
        here.store,
        here.done(),
    )
