"""What `defectscape status` says of a study at work, killed, and with a defect that fails; it touches nothing."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.faulty_study import BIN, LOW, Study
from support.outcomes import report

pytestmark = pytest.mark.fault


def status(study: Study) -> dict[str, Any]:
    """What it says, machine-readable."""
    done = subprocess.run(
        [BIN / "defectscape", "status", "study.yaml", "--json"],
        cwd=study.folder,
        env=study.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def stages(found: dict[str, Any], part: str) -> dict[str, dict[str, int]]:
    """Jobs of the stages of a part that are in any state, without the zeros."""
    (own,) = (item for item in found["parts"] if item["name"] == part)
    return {stage["name"]: {state: n for state, n in stage["jobs"].items() if n} for stage in own["stages"]}


def labels(found: dict[str, Any], fidelity: str) -> dict[str, tuple[int, int, int]]:
    """Done, failed and expected labels of a fidelity."""
    rows = [row for row in found["labels"] if row["fidelity"] == fidelity]
    return {row["of"]: (row["done"], row["failed"], row["expected"]) for row in rows}


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file with its size and time."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path: (seen.st_size, seen.st_mtime_ns) for path, seen in found}


def test_the_status_of_a_study_at_work_and_killed(pooled: Study) -> None:
    pooled.faults(sleep_s=3.0)
    running = pooled.start(*LOW)
    pooled.wait_for_labels(4, running)
    before = len(pooled.done())
    found = status(pooled)
    after = len(pooled.done())
    assert running.poll() is None
    assert found["snakemake"] == f"at work on this machine (process {running.pid})"
    assert stages(found, "v_Cd")["label low 0"] == {"running": 2}
    assert stages(found, "v_Cd")["starts"] == {"done": 1}
    assert found["estimate"]["jobs_at_a_time"] == 2
    counts = labels(found, "gfn1")
    assert before <= sum(done for done, _, _ in counts.values()) - 1 <= after
    assert counts["v_Cd_0"][2] + counts["v_Cd_-1"][2] == 24
    # A label takes three seconds, of which it computes a small part; no final training has been measured.
    assert found["estimate"]["wall_s"] > 0.5 * (24 - after)
    assert "train_final" in found["estimate"]["unknown"]

    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    seen = files(pooled.folder)
    killed = status(pooled)
    assert killed["snakemake"].startswith("not on this machine; its lock is there")
    assert files(pooled.folder) == seen, "asking for the status changed a file"
    pooled.run("--unlock")
    unlocked = status(pooled)
    assert unlocked["snakemake"] == "not at work"
    assert stages(unlocked, "v_Cd")["label low 0"] == {"failed": 2}
    assert unlocked["estimate"]["wall_s"] is None
    pooled.faults()
    pooled.finish(*LOW)
    finished = status(pooled)
    assert stages(finished, "v_Cd")["label low 0"] == {"done": 2}
    assert labels(finished, "gfn1") == {"host": (1, 0, 1), "v_Cd_0": (12, 0, 12), "v_Cd_-1": (12, 0, 12)}
    # The labels of the host are not in this store.
    spent_s = sum(row["core_s"] for row in finished["labels"] if row["of"].startswith("v_Cd"))
    assert spent_s == pytest.approx(sum(record.core_s for record in pooled.store.records()))


def test_a_defect_that_fails_stops_no_other(pooled: Study) -> None:
    pooled.change(lambda study: study["defects"].insert(0, {"name": "v_Zn", "charges": ["0"]}))
    pooled.faults(habits={pooled.name(5): "does not converge"})
    before = pooled.done()
    done = pooled.run(*LOW, "results/small/groups/v_Zn/minima.json")
    assert done.returncode != 0
    found = status(pooled)
    assert stages(found, "v_Zn")["starts"] == {"failed": 1}
    (failure,) = found["parts"][1]["failures"]
    assert failure["job"] == "starts"
    assert failure["reason"].startswith("defect: 'v_Zn'")
    assert (pooled.folder / failure["log"]).is_file()
    assert stages(found, "v_Cd")["label low 0"] == {"done": 2}
    counts = labels(found, "gfn1")
    assert sum(done for done, _, _ in counts.values()) == 24
    assert sum(failed for _, failed, _ in counts.values()) == 1
    assert counts["v_Zn_0"] == (0, 0, 12)
    report(
        "a defect that fails (its site is not one of the host's)",
        "All jobs of the other defects go on; `defectscape report --partial` makes their page",
        "`Error in rule starts`; `defectscape status` names the job, the reason and the log",
        pooled.store,
        before,
    )


def test_the_status_is_said_in_seconds(pooled: Study) -> None:
    pooled.faults()
    # No labelling job has ended: every frame is looked for in the store.
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    check = (
        "import sys; from pathlib import Path; from defectscape.tools.status import look_at; "
        "from defectscape.tools.status_text import status_lines; "
        "lines = list(status_lines(look_at(Path('study.yaml'), Path('results')))); "
        "assert not {'torch', 'doped', 'snakemake'} & set(sys.modules), 'too much is loaded'; "
        "assert max(map(len, lines)) <= 80, max(lines, key=len)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=pooled.folder,
        env=pooled.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime < 3.0
