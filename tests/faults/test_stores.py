"""Label stores on disks that fail, and with many writers."""

import json
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import StoreError
from defectscape.engines.labelling import label_frames
from defectscape.engines.registry import make_local_engine
from support.faulty_study import LOW, Study
from support.outcomes import report

pytestmark = pytest.mark.fault


# Disks that are full or read-only, and records that were damaged on them.


@pytest.fixture
def small_disk(here: Study) -> Iterator[Path]:
    """A disk of 64 kB below the label store."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = here.folder / "labels"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=False)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def test_a_full_disk(here: Study, small_disk: Path) -> None:
    with pytest.raises(StoreError, match=r"No space left on device.*with room on its disk"):
        here.label_all()
    before = here.done()
    assert 0 < len(before) < 24
    remount(small_disk, "size=50m")
    here.label_all()
    assert len(here.done()) == 24
    assert not list(small_disk.glob("records/*/.*.tmp"))
    report(
        "a full disk below the label store",
        "The job ends; no record is half written",
        "`label store ...: No space left on device. Make it writable, with room on its disk`",
        here.store,
        before,
        most_twice=1,
    )


def test_a_read_only_store(here: Study, small_disk: Path) -> None:
    remount(small_disk, "size=50m")
    here.label_all()
    before = here.done()
    victim = sorted(small_disk.glob("records/*/*.json"))[0]
    content = victim.read_bytes()
    victim.unlink()
    remount(small_disk, "ro")
    # Labels that are there are read; the one that is missing cannot be written.
    with pytest.raises(StoreError, match="Read-only file system"):
        here.label_all()
    remount(small_disk, "rw")
    victim.write_bytes(content)
    remount(small_disk, "ro")
    here.label_all()
    report(
        "a read-only label store",
        "Labels are read from it; the first new one ends the job",
        "`label store ...: Read-only file system. Make it writable`",
        here.store,
        before,
    )


@pytest.mark.parametrize("damage", ["cut short", "of zero length", "with a changed digit"])
def test_damaged_records(here: Study, damage: str) -> None:
    here.label_all()
    victim = sorted(here.folder.glob("labels/records/*/*.json"))[3]
    text = victim.read_text()
    if damage == "cut short":
        victim.write_text(text[: len(text) // 2])
    elif damage == "of zero length":
        victim.write_text("")
    else:
        start = text.index('"energy_eV"')
        digit = next(i for i in range(start + 16, len(text)) if text[i].isdigit())
        victim.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])
    before = here.done() - {victim.stem}
    with pytest.raises(StoreError, match="--remove-damaged") as caught:
        here.label_all()
    assert victim.name in str(caught.value)
    removed = here.call("labels", "--remove-damaged")
    assert removed.returncode == 0, removed.stderr
    here.label_all()
    assert len(here.done()) == 24
    report(
        f"a record {damage}",
        "It is never used: every reading checks it; removed, it is computed again",
        "`label record ...`, and `defectscape labels --remove-damaged`",
        here.store,
        before,
        most_twice=1,
    )


def test_a_deleted_store_is_made_again(here: Study) -> None:
    here.label_all()
    shutil.rmtree(here.folder / "labels")
    here.label_all()
    assert len(here.done()) == 24


# Many writers of one store.


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
