"""Many writers of one store."""

import json
import subprocess
import sys
from pathlib import Path

from faulty_study import LOW, Study
from outcomes import report

WRITERS = 16

SCRIPT = """
import sys, time
from pathlib import Path
from defectscape.engines.labelling import label_frames
from defectscape.files.extxyz import read_frames
from defectscape.stages.context import StudyContext
own, start = sys.argv[1] == "own", float(sys.argv[3])
context = StudyContext.load(Path("study.yaml"), Path("results"))
frames = read_frames(Path("results/small/groups/v_Cd/pool.extxyz"))
chosen = frames[int(sys.argv[2]) :: 16] if own else frames[:4]
engine = context.engine("low")
time.sleep(max(0.0, start - time.time()))
records = label_frames(chosen, engine, context.store, 30.0, "writer")
print([record.label.energy_eV for record in records])
"""


def write_together(study: Study, what: str) -> list[str]:
    """Sixteen processes that begin at the same moment; what each of them read back."""
    import time

    start = str(time.time() + 12)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, what, str(number), start], cwd=study.folder,
            env=study.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(WRITERS)
    ]  # fmt: skip
    answers = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0] * WRITERS, answers
    return [out.strip().splitlines()[-1] for out, _ in answers]


def test_sixteen_writers_of_the_same_labels(pooled: Study) -> None:
    answers = write_together(pooled, "same")
    assert len(set(answers)) == 1, "writers saw different labels"
    assert len(pooled.done()) == 4
    report(
        "16 writers of the same 4 labels at once", "The first to finish wins; all read the same label",
        "Nothing", pooled.store, pooled.done(), most_twice=4,
    )  # fmt: skip


def test_sixteen_writers_of_different_labels(pooled: Study) -> None:
    write_together(pooled, "own")
    assert len(pooled.done()) == 24
    report(
        "16 writers of different labels at once", "Every record is a file of its own",
        "Nothing", pooled.store, pooled.done(),
    )  # fmt: skip


def test_two_pipelines_on_one_store(pooled: Study, tmp_path: Path) -> None:
    import shutil

    other = Study(tmp_path / "other")
    shutil.copytree(pooled.folder, other.folder)
    for study in (pooled, other):
        study.change(lambda settings: settings.update(label_store=str(tmp_path / "shared")))
        study.faults(sleep_s=0.2)
    running = [study.start(*LOW) for study in (pooled, other)]
    for process in running:
        text = process.communicate(timeout=300)[0]
        assert process.returncode == 0, text
    outcomes = [
        [json.loads((study.folder / target).read_text()) for target in LOW]
        for study in (pooled, other)
    ]
    assert outcomes[0] == outcomes[1]
    store = type(pooled.store)(tmp_path / "shared")
    keys = {path.stem for path in store.root.glob("records/*/*.json")}
    assert len(keys) == 24
    report(
        "two pipelines on one store at once",
        "Both end with the same labels; those that both were computing count twice",
        "Nothing; progress counts labels from the store", store, keys, most_twice=24,
    )  # fmt: skip
