"""Files of earlier versions are read, and records come back byte for byte: checksums cover them."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.keys import DefectKey
from defectscape.store.record import LARGE_FORCE, LabelRecord
from defectscape.tools.data_sets import read_card

ROOT = Path(__file__).parents[2]
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
