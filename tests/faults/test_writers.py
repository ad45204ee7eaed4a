"""Many writers of one store."""

import json
import multiprocessing
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from defectscape.engines.labelling import label_frames
from defectscape.engines.registry import make_local_engine
from support.faulty_study import LOW, Study
from support.outcomes import report

pytestmark = pytest.mark.fault

WRITERS = 16


def _write(study: Study, number: int, what: str, start: float, answers: Any) -> None:
    context, frames = study.context(), study.pool()
    engine = make_local_engine(context.fidelity_settings("low").engine)
    chosen = frames[number::WRITERS] if what == "own" else frames[:4]
    time.sleep(max(0.0, start - time.time()))
    records = label_frames(chosen, engine, context.store, 30.0, "writer")
    answers.put([record.label.energy_eV for record in records if record.label is not None])


def write_together(study: Study, what: str) -> list[list[float]]:
    """Sixteen processes that begin at the same moment; what each of them read back."""
    fork = multiprocessing.get_context("fork")
    answers, start = fork.Queue(), time.time() + 4
    writers = [fork.Process(target=_write, args=(study, number, what, start, answers)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    found = [answers.get(timeout=120) for _ in writers]
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    return found


def test_sixteen_writers_of_the_same_labels(here: Study) -> None:
    here.faults(sleep_s=0.05)
    answers = write_together(here, "same")
    assert all(answer == answers[0] for answer in answers), "writers saw different labels"
    assert len(answers[0]) == len(here.done()) == 4
    report(
        "16 writers of the same 4 labels at once",
        "The first to finish wins; all read the same label",
        "Nothing",
        here.store,
        here.done(),
        most_twice=4,
    )


def test_sixteen_writers_of_different_labels(here: Study) -> None:
    write_together(here, "own")
    assert len(here.done()) == 24
    report(
        "16 writers of different labels at once",
        "Every record is a file of its own",
        "Nothing",
        here.store,
        here.done(),
    )


def test_two_pipelines_on_one_store(pooled: Study, tmp_path: Path) -> None:
    other = Study(tmp_path / "other")
    shutil.copytree(pooled.folder, other.folder)
    for study in (pooled, other):
        study.change(lambda settings: settings.update(label_store=str(tmp_path / "shared")))
        study.faults(sleep_s=0.2)
    running = [study.start(*LOW) for study in (pooled, other)]
    for process in running:
        text = process.communicate(timeout=300)[0]
        assert process.returncode == 0, text
    labels = [
        sorted(
            (row["frame_id"], row["key"], row["trainable"])
            for target in LOW
            for row in json.loads((study.folder / target).read_text())
        )
        for study in (pooled, other)
    ]
    assert labels[0] == labels[1]
    store = type(pooled.store)(tmp_path / "shared")
    keys = {path.stem for path in store.root.glob("records/*/*.json")}
    assert len(keys) == 24
    report(
        "two pipelines on one store at once",
        "Both end with the same labels, each in an order of its own; the last few may meet",
        "Nothing; progress counts labels from the store",
        store,
        keys,
        most_twice=12,
    )
