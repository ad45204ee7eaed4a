"""Tables, the values in them as JSON, and writing that leaves no half of a file."""

import dataclasses
import errno
import json
import math
import multiprocessing
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from defectscape.domain.errors import StoreError
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.files import tables
from defectscape.files.atomic import replacing, write_bytes
from defectscape.files.codec import decode, encode
from defectscape.files.text import read_text, write_text

# Tables come back as they were, and damage is named.


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


# The codec: values as JSON data and back, and what is refused.


class Kind(StrEnum):
    GOOD = "good"


@dataclass(frozen=True)
class Inner:
    pair: tuple[str, int]
    word: Literal["yes", "no"]


@dataclass(frozen=True, eq=False)
class Outer:
    kind: Kind
    numbers: tuple[float, ...]
    matrix: Floats
    inner: Inner | None
    flag: bool = True


VALUE = Outer(Kind.GOOD, (1 / 3, math.nan), np.array([[0.1, -0.0]]), Inner(("a", 2), "yes"))
DATA = {
    "kind": "good",
    "numbers": [1 / 3, None],
    "matrix": [[0.1, -0.0]],
    "inner": {"pair": ["a", 2], "word": "yes"},
    "flag": True,
}


def test_a_value_is_its_fields_and_comes_back() -> None:
    assert encode(VALUE) == DATA
    back = decode(Outer, json.loads(json.dumps(encode(VALUE))))
    assert (back.kind, back.inner, back.flag) == (VALUE.kind, VALUE.inner, True)
    assert back.kind is Kind.GOOD
    assert back.numbers[0] == 1 / 3
    assert math.isnan(back.numbers[1])
    assert back.matrix.tobytes() == VALUE.matrix.tobytes()


def test_numbers_that_are_not_finite_stay_for_a_writer_that_refuses_them() -> None:
    assert encode([math.nan, np.array([math.inf])]) == [None, [None]]
    kept = encode([math.nan, np.array([math.inf])], not_finite="constants")
    with pytest.raises(ValueError, match="JSON"):
        json.dumps(kept, allow_nan=False)


def test_libraries_numbers_and_names_are_plain() -> None:
    given = {3: np.float64(0.1), "path": Path("a/b"), "whole": np.int64(2), "yes": np.bool_(True)}
    assert encode(given) == {"3": 0.1, "path": "a/b", "whole": 2, "yes": True}
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode({"what": object()})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"more": 1}, KeyError, "fields of Outer.*more"),
        ({"flag": None}, TypeError, "not of type bool"),
        ({"kind": "bad"}, ValueError, "bad"),
        ({"inner": {"pair": ["a", 2], "word": "maybe"}}, ValueError, "not one of"),
        ({"inner": {"pair": ["a"], "word": "yes"}}, ValueError, "shorter"),
        ({"inner": ["pair", "word"]}, KeyError, "fields of Inner"),
        ({"numbers": ["a third"]}, ValueError, "a third"),
    ],
)
def test_data_of_another_type_are_refused(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        decode(Outer, DATA | change)


def test_a_field_with_a_default_must_be_there_all_the_same() -> None:
    with pytest.raises(KeyError, match="flag"):
        decode(Outer, {name: value for name, value in DATA.items() if name != "flag"})


# A file is the old one or the whole new one, whatever fails while it is written.


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _full(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write(path: Path, fault: str) -> None:
    with replacing(path) as stream:
        stream.write(b"new")
        if fault == "block":
            _full()
        if fault == "interrupt":
            raise KeyboardInterrupt


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("fault", ["block", "flush", "rename", "interrupt"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, fault: str
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    if fault == "flush":
        monkeypatch.setattr(os, "fsync", _full)
    if fault == "rename":
        monkeypatch.setattr(Path, "replace", _full)
    expected = KeyboardInterrupt if fault == "interrupt" else OSError
    with pytest.raises(expected):
        _write(path, fault)
    assert _names(tmp_path) == ([] if before is None else ["file"])
    assert before is None or path.read_bytes() == before


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    write_bytes(path, b"old")
    with replacing(path) as stream:
        stream.write(b"new" * 10**6)
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" * 10**6


def test_content_and_folder_are_flushed_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, flush = [], os.fsync

    def note(handle: int) -> None:
        flushed.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "content")
        flush(handle)

    monkeypatch.setattr(os, "fsync", note)
    write_text(tmp_path / "file", "new")
    assert flushed == ["content", "folder"]


def test_a_file_is_as_open_to_others_as_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def _write_often(path: Path, letter: str) -> None:
    for _ in range(50):
        write_text(path, letter * 10**5)


def test_a_reader_beside_several_writers_sees_whole_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "0" * 10**5)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write_often, args=(path, letter)) for letter in "abc"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        text = read_text(path)
        assert len(text) == 10**5
        assert len(set(text)) == 1
    assert [writer.exitcode for writer in writers] == [0] * 3
    assert _names(tmp_path) == ["file"]
