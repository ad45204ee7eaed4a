"""Scale: the store and the selection grow in proportion, and the planning of a study works."""

import json
from pathlib import Path

import pytest

from benchmarks.timing.scale import measure_scale
from support import ROOT


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    target = tmp_path_factory.mktemp("scale") / "scale.json"
    found = measure_scale([100, 400, 1600], [400, 2000], target, ROOT / "Snakefile")
    assert json.loads(target.read_text())["timings"]
    return found


def test_no_operation_of_the_store_grows_faster_than_its_content(result) -> None:
    exponents = {row.what: row.exponent for row in result.growth}
    # A quadratic one would have 2; noise on a busy machine is some tenths.
    for what in ("write records", "list all records", "gather labels", "write and read a data set"):
        assert exponents[what] < 1.5, (what, exponents)
    assert exponents["look 1000 records up"] < 0.6
    assert exponents["open the store"] < 0.9


def test_a_study_is_planned_before_its_first_job(result) -> None:
    plans = [row for row in result.timings if row.what.startswith("plan")]
    assert [row.items for row in plans] == [400, 2000]
    assert all(row.memory_mb is not None and row.memory_mb > 50 for row in plans)


def test_a_null_label_says_what_it_is(tmp_path: Path) -> None:
    from benchmarks.timing.null_labels import NullEngine, null_frames
    from defectscape.engines.labelling import label_frame
    from defectscape.store.labels import LabelStore

    frames = null_frames(3)
    assert len({frame.geometry_hash for frame in frames}) == 3
    store = LabelStore(tmp_path)
    label_frame(frames[0], NullEngine(), store, 30.0)
    (record,) = store.records()
    assert record.engine == "null"
