"""How the pipeline's own work grows with the number of labels: a null engine, and everything else real.

A label's arithmetic takes no time here, so what is timed is the store, the gathering of labels, the
selection and Snakemake's planning: what a study of many defects pays beside its labels. The null engine's labels cost
nothing and mean nothing.
"""

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from defectscape.domain.frame import Frame, Ints, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.engines.base import ScfAttempt
from defectscape.engines.labelling import label_frame
from defectscape.files.extxyz import read_labelled, write_labelled
from defectscape.files.tables import write_json
from defectscape.selection.farthest_points import farthest_points
from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.store.labels import LabelStore, label_key

ATOMS = 31
"""Of the default study's cells."""
BOX_A = 11.2


class NullEngine:
    """Energy and forces of atoms on springs to the origin: no physics, hardly any time."""

    name = "null"
    version = "null"
    settings_json = json.dumps({"method": "null"})
    attempts = (ScfAttempt("configured", "The only one."),)

    def settings_of(self, numbers: Ints) -> str:
        """All settings."""
        return self.settings_json

    def compute(self, frame: Frame, attempt: int) -> Label:
        """Energy (eV) and forces (eV/A), finite and different for every frame."""
        forces = -0.01 * frame.positions_A
        return Label(float(0.005 * np.sum(frame.positions_A**2)), forces)


def null_frames(count: int) -> list[Frame]:
    """Random structures of the size of the default study's, all different."""
    rng = np.random.default_rng(7)
    numbers, cell = np.full(ATOMS, 52), BOX_A * np.eye(3)
    return [
        Frame(
            numbers,
            rng.uniform(0, BOX_A, (ATOMS, 3)),
            cell,
            DefectKey("v_Cd", 0),
            1,
            Origin.RATTLE,
            f"family {number % 50}",
        )
        for number in range(count)
    ]


logger = logging.getLogger(__name__)

LOOKUPS = 1000
CHOSEN = 100
"""Frames that the selection is asked for."""
FEATURES = 200
"""Length of a fingerprint in the selection."""
FRAMES_PER_KEY = 40
"""Low-fidelity labels of one defect in one charge, in the planning test."""
CHARGES = 5


@dataclass(frozen=True)
class Timing:
    """One operation at one size.

    Attributes:
        what: the operation.
        items: how many labels, records or frames.
        seconds: wall time.
        memory_mb: largest resident memory of its process, MB, where it has one of its own.
    """

    what: str
    items: int
    seconds: float
    memory_mb: float | None = None


@dataclass(frozen=True)
class Growth:
    """How an operation's time grows: ``seconds ~ items ** exponent``."""

    what: str
    exponent: float
    seconds_per_1000: float


@dataclass(frozen=True)
class ScaleResult:
    """All timings and the exponents fitted to them (least squares in logarithms)."""

    timings: tuple[Timing, ...]
    growth: tuple[Growth, ...]


def measure_scale(sizes: Sequence[int], plans: Sequence[int], target: Path, snakefile: Path | None) -> ScaleResult:
    """Time the store, the gathering and the selection at ``sizes`` labels, the planning at ``plans``.

    Args:
        sizes: numbers of labels, ascending, two at least.
        plans: numbers of labels of the studies that Snakemake plans.
        target: JSON file to write.
        snakefile: the workflow; None leaves the planning out.
    """
    timings: list[Timing] = []
    # First, while this process is small: a child counts the memory of the one that it was forked from.
    for labels in plans if snakefile is not None else ():
        assert snakefile is not None
        with tempfile.TemporaryDirectory(prefix="defectscape-scale-") as folder:
            timings.append(_plan_timing(Path(folder), labels, snakefile))
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="defectscape-scale-") as folder:
            timings += _store_timings(Path(folder), size)
        timings.append(_selection_timing(size))
    result = ScaleResult(tuple(timings), tuple(_growth(timings)))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, asdict(result))
    return result


def _timed(what: str, items: int, work: Callable[[], Any]) -> tuple[Timing, Any]:
    began = time.perf_counter()
    outcome = work()
    timing = Timing(what, items, time.perf_counter() - began)
    logger.info("%s, %d: %.2f s", what, items, timing.seconds)
    return timing, outcome


def _store_timings(folder: Path, size: int) -> list[Timing]:
    frames = null_frames(size)
    engine = NullEngine()
    keys = [label_key(f, engine.name, engine.settings_of(f.numbers)) for f in frames]
    store = LabelStore(folder / "labels")

    def write() -> None:
        for frame in frames:
            label_frame(frame, engine, store, 30.0)

    def look_up() -> None:
        rng = np.random.default_rng(0)
        for index in rng.integers(0, size, LOOKUPS):
            if store.get(keys[index]) is None:
                raise AssertionError("a record is gone")

    def gather() -> list[LabelledFrame]:
        found = []
        for frame, key in zip(frames, keys, strict=True):
            record = store.get(key)
            if record is not None and record.label is not None:
                found.append(LabelledFrame(frame, record.label, "low"))
        return found

    def write_and_read(labelled: list[LabelledFrame]) -> None:
        write_labelled(folder / "data.extxyz", labelled)
        read_labelled(folder / "data.extxyz", "low")

    written, _ = _timed("write records", size, write)
    opened, _ = _timed("open the store", size, lambda: LabelStore(store.root).get(keys[0]))
    looked, _ = _timed(f"look {LOOKUPS} records up", size, look_up)
    listed, _ = _timed("list all records", size, lambda: sum(1 for _ in store.records()))
    gathered, labelled = _timed("gather labels", size, gather)
    filed, _ = _timed("write and read a data set", size, lambda: write_and_read(labelled))
    return [written, opened, looked, listed, gathered, filed]


def _selection_timing(size: int) -> Timing:
    features = np.random.default_rng(1).normal(size=(size, FEATURES))
    timing, _ = _timed(f"select {CHOSEN} of the frames", size, lambda: farthest_points(features, [], CHOSEN))
    return timing


def _plan_timing(folder: Path, labels: int, snakefile: Path) -> Timing:
    """From the config to the first job: a dry run of a study with so many low-fidelity labels."""
    defects = max(1, labels // (CHARGES * FRAMES_PER_KEY))
    study = deepcopy(DEFAULT_STUDY)
    root = snakefile.parent.resolve()
    study["host"]["file"] = str(root / study["host"]["file"])
    references = study["thermo"]["elemental_references"]
    study["thermo"]["elemental_references"] = {e: str(root / f) for e, f in references.items()}
    study["defects"] = [
        {"name": f"v_Cd_{number + 1}", "charges": ["+2", "+1", "0", "-1", "-2"]} for number in range(defects)
    ]
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(snakefile.resolve()),
        "--cores",
        "2",
        "--dry-run",
        "--quiet",
        "all",
        "--config",
        "study=study.yaml",
    ]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    logger.info("plan of %d labels: %.1f s, %.0f MB", labels, seconds, memory_mb)
    return Timing("plan a study, config to first job", labels, seconds, memory_mb)


def _growth(timings: Sequence[Timing]) -> list[Growth]:
    found = []
    for what in dict.fromkeys(timing.what for timing in timings):
        own = [timing for timing in timings if timing.what == what]
        if len(own) < 2:
            continue
        sizes, seconds = (np.log([getattr(t, name) for t in own]) for name in ("items", "seconds"))
        slope, _ = np.polyfit(sizes, seconds, 1)
        found.append(Growth(what, float(slope), 1000 * own[-1].seconds / own[-1].items))
    return found
