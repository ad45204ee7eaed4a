"""Disks that are full or read-only, and records that were damaged on them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from defectscape.domain.errors import StoreError
from support.faulty_study import Study
from support.outcomes import report

pytestmark = pytest.mark.fault


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
