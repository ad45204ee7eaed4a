"""Disks that are full or read-only, and records that were damaged on them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_study import LOW, Study
from outcomes import report


@pytest.fixture
def small_disk(pooled: Study) -> Iterator[Path]:
    """A disk of 256 kB below the label store."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = pooled.folder / "labels"
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


def test_a_full_disk(pooled: Study, small_disk: Path) -> None:
    done = pooled.run(*LOW)
    assert done.returncode != 0
    assert "No space left on device" in done.stdout + done.stderr
    before = pooled.done()
    assert 0 < len(before) < 24
    remount(small_disk, "size=50m")
    pooled.finish(*LOW)
    assert len(pooled.done()) == 24
    assert not list(small_disk.glob("records/*/.*.tmp"))
    report(
        "a full disk below the label store", "The job ends; no record is half written",
        "`label store ...: No space left on device. Make it writable, with room on its disk`",
        pooled.store, before, most_twice=2,
    )  # fmt: skip


def test_a_read_only_store(pooled: Study, small_disk: Path) -> None:
    remount(small_disk, "size=50m")
    assert pooled.run(*LOW).returncode == 0
    before = pooled.done()
    remount(small_disk, "ro")
    for target in LOW:
        (pooled.folder / target).unlink()
    # All labels are there, so nothing need be written.
    assert pooled.run(*LOW).returncode == 0
    pooled.change(lambda study: study["sampling"].update(rattle_amplitudes_A=[0.05, 0.1, 0.15]))
    done = pooled.run(*LOW)
    assert done.returncode != 0
    assert "Read-only file system" in done.stdout + done.stderr
    remount(small_disk, "rw")
    pooled.finish(*LOW)
    assert len(pooled.done()) > 24
    report(
        "a read-only label store", "Labels are read from it; the first new one ends the job",
        "`label store ...: Read-only file system. Make it writable`", pooled.store, before,
        most_twice=2,
    )  # fmt: skip


@pytest.mark.parametrize("damage", ["cut short", "of zero length", "with a changed digit"])
def test_damaged_records(pooled: Study, damage: str) -> None:
    assert pooled.run(*LOW).returncode == 0
    victim = sorted(pooled.folder.glob("labels/records/*/*.json"))[3]
    text = victim.read_text()
    if damage == "cut short":
        victim.write_text(text[: len(text) // 2])
    elif damage == "of zero length":
        victim.write_text("")
    else:
        start = text.index('"energy_eV"')
        digit = next(i for i in range(start + 16, len(text)) if text[i].isdigit())
        victim.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :])
    before = pooled.done() - {victim.stem}
    for target in LOW:
        (pooled.folder / target).unlink()
    done = pooled.run(*LOW)
    assert done.returncode != 0
    assert victim.name in done.stdout + done.stderr
    assert "--remove-damaged" in done.stdout + done.stderr
    removed = pooled.call("labels", "--remove-damaged")
    assert removed.returncode == 0, removed.stderr
    pooled.finish(*LOW)
    assert len(pooled.done()) == 24
    report(
        f"a record {damage}", "It is never used: every reading checks it; removed, it is computed again",
        "`label record ...`, and `defectscape labels --remove-damaged`", pooled.store, before,
        most_twice=1,
    )  # fmt: skip


def test_a_deleted_store_is_made_again(pooled: Study) -> None:
    assert pooled.run(*LOW).returncode == 0
    shutil.rmtree(pooled.folder / "labels")
    for target in LOW:
        (pooled.folder / target).unlink()
    assert pooled.run(*LOW).returncode == 0
    assert len(pooled.done()) == 24
