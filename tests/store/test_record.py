"""Records: to the last bit, or refused by name, and of earlier versions, too."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.errors import LabelError, StoreError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.store.labels import label_key
from defectscape.store.record import LARGE_FORCE, LabelRecord
from defectscape.tools.data_sets import read_card
from support import ROOT

# Records come back to the last bit, or are refused by name.


SETTINGS = '{"accuracy": 1.0}'


def _record(seed=0, works=True, **changes):
    rng = np.random.default_rng(seed)
    frame = Frame(
        np.array([48, 52]),
        rng.normal(size=(2, 3)),
        np.eye(3) * 6.1 + rng.normal(size=(3, 3)),
        DefectKey("v_Cd", -1),
        2,
        Origin.RATTLE,
        "v_Cd/-40%",
        "abc",
        "a note: é",
    )
    found = Label(-1 / 3, rng.normal(size=(2, 3)) / 7, rng.normal(size=(3, 3)), -5e-324, None)
    record = LabelRecord(
        label_key(frame, "e", SETTINGS),
        frame,
        "e",
        SETTINGS,
        "e 1.0",
        found if works else None,
        None if works else "SCF not converged",
        (),
        0,
        0.1 + 0.2,
        1e-300,
        "node1",
        "2026-01-02T03:04:05.678+00:00",
    )
    return dataclasses.replace(record, **changes)


@pytest.mark.parametrize("seed", range(20))
def test_floats_survive_to_the_last_bit(seed):
    record = _record(seed, flags=(LARGE_FORCE,), rung=2)
    back = LabelRecord.from_json(record.to_json(), "x")
    assert back.label.energy_eV == record.label.energy_eV
    assert back.label.forces_eV_A.tobytes() == record.label.forces_eV_A.tobytes()
    assert back.label.stress_eV_A3.tobytes() == record.label.stress_eV_A3.tobytes()
    assert (back.label.vbm_eV, back.label.cbm_eV) == (-5e-324, None)
    assert back.frame.positions_A.tobytes() == record.frame.positions_A.tobytes()
    assert back.frame.cell_A.tobytes() == record.frame.cell_A.tobytes()
    for name in ("key", "multiplicity", "origin", "family", "parent", "note", "geometry_hash"):
        assert getattr(back.frame, name) == getattr(record.frame, name)
    for name in (
        "key",
        "engine",
        "settings",
        "engine_version",
        "failure",
        "flags",
        "rung",
        "wall_s",
        "core_s",
        "host_name",
        "timestamp",
    ):
        assert getattr(back, name) == getattr(record, name)


def test_failures_and_large_forces_are_not_trained_on():
    assert _record().trainable
    assert not _record(flags=(LARGE_FORCE,)).trainable
    failed = LabelRecord.from_json(_record(works=False).to_json(), "x")
    assert (failed.label, failed.failure, failed.trainable) == (None, "SCF not converged", False)


@pytest.mark.parametrize("change", [{"label": None}, {"failure": "no reason"}])
def test_a_record_holds_a_label_or_a_failure(change):
    with pytest.raises(LabelError, match="v_Cd_-1"):
        _record(**change)


@pytest.mark.parametrize("name", ["vbm_eV", "cbm_eV", "absolute_magnetisation"])
def test_nan_levels_are_refused(name):
    label = dataclasses.replace(_record().label, **{name: float("nan")})
    with pytest.raises(LabelError, match=name):
        _record(label=label)


def test_nan_cost_is_refused():
    with pytest.raises(LabelError, match="record"):
        _record(core_s=float("nan")).to_json()


def test_forces_of_another_structure_are_refused():
    with pytest.raises(LabelError, match="3, 3"):
        _record(label=Label(0.0, np.zeros((3, 3))))


def test_every_truncation_is_found():
    text = _record().to_json()
    for length in [*range(0, len(text) - 2, 37), len(text) - 2]:
        with pytest.raises(StoreError, match="the_file") as caught:
            LabelRecord.from_json(text[:length], "the_file")
        assert "--remove-damaged" in str(caught.value)


def test_every_changed_digit_is_found():
    text = _record().to_json()
    start = text.index('"payload"')
    places = [i for i in range(start, len(text)) if text[i].isdigit()]
    for place in places[::7]:
        digit = "1" if text[place] != "1" else "2"
        with pytest.raises(StoreError, match="the_file"):
            LabelRecord.from_json(text[:place] + digit + text[place + 1 :], "the_file")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_never_read(number):
    content = json.loads(_record().to_json())
    text = json.dumps(content).replace(str(content["payload"]["label"]["energy_eV"]), number)
    assert number in text
    with pytest.raises(StoreError, match="the_file"):
        LabelRecord.from_json(text, "the_file")


def _sealed(payload, form=2):
    """A record whose checksum fits whatever the payload says."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    checksum = hashlib.sha256(canonical.encode()).hexdigest()
    return json.dumps({"format": form, "sha256": checksum, "payload": payload})


def test_a_right_checksum_does_not_excuse_wrong_content():
    payload = json.loads(_record().to_json())["payload"]
    LabelRecord.from_json(_sealed(payload), "x")
    for part, name, value in (
        ("label", "forces_eV_A", [[0.0, 0.0, 0.0]]),
        ("label", "energy_eV", None),
        ("frame", "origin", "nowhere"),
        ("frame", "defect", "9"),
    ):
        wrong = json.loads(json.dumps(payload))
        wrong[part][name] = value
        with pytest.raises(StoreError, match="the_file"):
            LabelRecord.from_json(_sealed(wrong), "the_file")


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"payload": 1}', "\x00" * 40, "[" * 10**5])
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(StoreError, match="the_file") as caught:
        LabelRecord.from_json(text, "the_file")
    assert "\n" not in str(caught.value)


def test_records_of_the_first_format_are_read_without_a_magnetisation():
    payload = json.loads(_record().to_json())["payload"]
    del payload["label"]["absolute_magnetisation"]
    back = LabelRecord.from_json(_sealed(payload, form=1), "x")
    assert back.label.energy_eV == _record().label.energy_eV
    assert back.label.absolute_magnetisation is None


def test_another_format_is_refused_without_calling_it_damage():
    content = json.loads(_record().to_json())
    content["format"] = 3
    with pytest.raises(StoreError, match="format 3") as caught:
        LabelRecord.from_json(json.dumps(content), "x")
    assert "remove-damaged" not in str(caught.value)


# Files of earlier versions are read, and records come back byte for byte: checksums cover them.


RECORDS = ROOT / "tests" / "data" / "records"
CARDS = sorted((ROOT / "data").glob("*/*.card.json"))


@pytest.mark.parametrize("name", ["label", "failure"])
def test_a_record_of_an_earlier_version_comes_back_byte_for_byte(name: str) -> None:
    text = (RECORDS / f"{name}.json").read_text(encoding="utf-8")
    assert LabelRecord.from_json(text, name).to_json() == text


def test_a_record_of_an_earlier_version_holds_what_was_written() -> None:
    text = (RECORDS / "label.json").read_text(encoding="utf-8")
    record = LabelRecord.from_json(text, "label")
    assert record.label is not None
    assert record.label.energy_eV == -1 / 3
    assert (record.label.vbm_eV, record.label.cbm_eV) == (-5e-324, None)
    assert record.frame.key == DefectKey("v_Cd", -1)
    assert record.frame.note == "a note: é"
    assert record.frame.numbers.dtype == np.int64
    assert (record.flags, record.rung, record.wall_s) == ((LARGE_FORCE,), 2, 0.1 + 0.2)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.name)
def test_cards_of_the_data_sets_are_read(path: Path) -> None:
    data = path.with_name(path.name.removesuffix(".card.json") + ".extxyz.xz")
    assert sum(count for _, count in read_card(data).labels) > 0
