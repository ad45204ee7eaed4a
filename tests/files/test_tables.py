"""Tables come back as they were, and damage is named."""

import dataclasses
import json

import numpy as np
import pytest

from defectscape.domain.errors import StoreError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files import tables
from defectscape.files.codec import encode

RNG = np.random.default_rng(0)


def _frame(charge=-2):
    return Frame(
        np.array([48, 52]),
        RNG.normal(size=(2, 3)),
        np.eye(3) * 9.1,
        DefectKey("v_Te_1", charge),
        1,
        Origin.MINIMUM,
        "v_Te_1/-40%",
        "abc",
        "a note",
    )


def _relaxation(energy_eV, **changes):
    value = Relaxation(
        _frame(),
        _frame(),
        (_frame(), _frame()),
        energy_eV,
        (1 / 3, 0.1),
        0.1 + 0.2,
        1e-300,
        7,
        False,
        "step limit",
    )
    return dataclasses.replace(value, **changes)


def _minimum():
    return Minimum(1, _frame(), 1 / 7, (0.1,), 0.01, 0.02, ("a", "b"), True)


def _verified(label):
    final = None if label is None else label
    return VerifiedMinimum(_minimum(), label, _frame(), final, 3)


SITES = [
    DefectSite("v_Te_1", "v_Te_Td_Cd2.83", "vacancy", None, "Te", (1 / 3, 0.25, 0.0), 2),
    DefectSite("i_Cd", "Cd_i_Td", "interstitial", "Cd", None, (0.5, 0.5, 0.5), 1),
]
HOST = HostCrystal(
    "CdTe",
    "F-43m",
    np.array([48, 52]),
    RNG.normal(size=(2, 3)),
    np.eye(3) * 4.6,
    np.diag([2, 2, 2]),
    np.tile([48, 52], 8),
    RNG.normal(size=(16, 3)),
    np.eye(3) * 9.2,
    9.2,
)
LABEL = Label(-3373.1, RNG.normal(size=(2, 3)), RNG.normal(size=(3, 3)), None, 1 / 3)


@pytest.mark.parametrize(
    ("save", "load", "items"),
    [
        (tables.save_sites, tables.load_sites, SITES),
        (tables.save_relaxations, tables.load_relaxations, [_relaxation(-1 / 3)] * 2),
        (tables.save_minima, tables.load_minima, [_minimum(), _minimum()]),
        (tables.save_verified, tables.load_verified, [_verified(None), _verified(LABEL)]),
        (tables.save_minima, tables.load_minima, []),
    ],
)
def test_tables_come_back_exactly(tmp_path, save, load, items):
    save(tmp_path / "table.json", items)
    back = load(tmp_path / "table.json")
    assert isinstance(back, tuple)
    assert [type(item) for item in back] == [type(item) for item in items]
    assert encode(back) == encode(items)


def test_frames_and_labels_inside_are_the_same(tmp_path):
    verified = _verified(LABEL)
    tables.save_verified(tmp_path / "v.json", [verified])
    (back,) = tables.load_verified(tmp_path / "v.json")
    assert back.frame.positions_A.tobytes() == verified.frame.positions_A.tobytes()
    assert back.frame.geometry_hash == verified.frame.geometry_hash
    assert back.frame.key == DefectKey("v_Te_1", -2)
    assert back.frame.origin is Origin.MINIMUM
    assert back.label.stress_eV_A3.tobytes() == LABEL.stress_eV_A3.tobytes()
    assert (back.label.vbm_eV, back.label.cbm_eV) == (None, 1 / 3)
    assert back.model_error_eV == verified.model_error_eV


def test_the_host_comes_back(tmp_path):
    tables.save_host(tmp_path / "host.json", HOST)
    back = tables.load_host_file(tmp_path / "host.json")
    assert encode(back) == encode(HOST)
    assert back.positions_A.tobytes() == HOST.positions_A.tobytes()
    assert back.matrix.dtype == np.int64


def test_failed_relaxations_come_back_without_energy(tmp_path):
    failed = _relaxation(float("nan"), member_energies_eV=(), path=(), fmax_eV_A=float("nan"), reason="non-finite")
    tables.save_relaxations(tmp_path / "r.json", [failed])
    (back,) = tables.load_relaxations(tmp_path / "r.json")
    assert np.isnan(back.energy_eV)
    assert np.isnan(back.fmax_eV_A)
    assert back.member_energies_eV == ()
    json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)


def test_damage_is_named(tmp_path):
    path = tmp_path / "minima.json"
    with pytest.raises(StoreError, match="no such file"):
        tables.load_minima(path)
    tables.save_minima(path, [_minimum()])
    with pytest.raises(StoreError, match=r"minima\.json: holds minima"):
        tables.load_sites(path)
    text = path.read_text()
    path.write_text(text[:-20])
    with pytest.raises(StoreError, match="not JSON"):
        tables.load_minima(path)
    for old, new in (('"rank": 1, ', ""), ('"rank": 1', '"rank": "1"'), ('"minimum"', '"magic"')):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(StoreError, match="cannot be read"):
            tables.load_minima(path)


def test_tables_of_earlier_versions_are_read(tmp_path):
    """Sites and minima once had fields that nothing read; any other unknown field is still refused."""
    path = tmp_path / "table.json"
    tables.save_sites(path, SITES)
    path.write_text(path.read_text().replace("}", ', "point_group": "Td"}'))
    # The last brace closes the table, whose own fields nobody looks at.
    assert list(tables.load_sites(path)) == SITES
    verified = _verified(LABEL)
    for save, load, item in (
        (tables.save_minima, tables.load_minima, verified.minimum),
        (tables.save_verified, tables.load_verified, verified),
    ):
        save(path, [item])
        text = path.read_text()
        assert text.count('"from_unperturbed"') == 1
        old = '"point_group": "C2v", "rmsd_to_unperturbed_A": null, "from_unperturbed"'
        path.write_text(text.replace('"from_unperturbed"', old))
        (back,) = load(path)
        assert encode(back) == encode(item)
        path.write_text(text.replace('"from_unperturbed"', '"colour": "red", "from_unperturbed"'))
        with pytest.raises(StoreError, match="colour"):
            load(path)


def test_plain_data_and_arrays(tmp_path):
    tables.write_json(tmp_path / "x" / "y.json", {"a": np.arange(2), "b": (1.5, None), 3: True})
    assert tables.read_json(tmp_path / "x" / "y.json") == {"a": [0, 1], "b": [1.5, None], "3": True}
