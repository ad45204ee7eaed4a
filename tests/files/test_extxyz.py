"""Extended XYZ: exact both ways, and nothing physical is ever guessed."""

import gzip
import lzma
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label, LabelledFrame
from defectscape.files.atoms import from_atoms, to_atoms
from defectscape.files.extxyz import read_frames, read_labelled, write_frames, write_labelled
from support.mistakes import mistake

FIELDS = ("key", "multiplicity", "origin", "family", "parent", "note")


def _frame(seed, charge=0, note="", family="v_Cd/x", parent=None):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 9))
    return Frame(
        rng.choice([48, 52, 8], count),
        rng.uniform(-9, 9, (count, 3)),
        np.eye(3) * 9 + rng.uniform(-1, 1, (3, 3)),
        DefectKey("v_Cd", charge),
        1 + abs(charge) % 2,
        Origin.RATTLE,
        family,
        parent,
        note,
    )


def _assert_same(a, b):
    assert a.numbers.tobytes() == b.numbers.tobytes()
    assert a.positions_A.tobytes() == b.positions_A.tobytes()
    assert a.cell_A.tobytes() == b.cell_A.tobytes()
    assert [getattr(a, name) for name in FIELDS] == [getattr(b, name) for name in FIELDS]
    assert a.geometry_hash == b.geometry_hash


def test_many_frames_come_back_to_the_last_bit(tmp_path):
    frames = [_frame(seed, charge=seed % 9 - 4) for seed in range(400)]
    write_frames(tmp_path / "pool.extxyz", frames)
    back = read_frames(tmp_path / "pool.extxyz")
    assert len(back) == 400
    for a, b in zip(frames, back, strict=True):
        _assert_same(a, b)


def test_positions_on_the_edge_of_a_hash_bin_stay_in_it(tmp_path):
    """Halves of 1e-5 A: written with eight digits, one in many would change its hash."""
    rng = np.random.default_rng(0)
    edges = (rng.integers(-(10**6), 10**6, (500, 3)) + 0.5) * 1e-5
    edges += rng.choice([-1e-9, 0.0, 1e-9], edges.shape)
    frame = Frame(np.full(500, 8), edges, np.eye(3) * 20, DefectKey("v_O", 0), 1, Origin.START, "v_O/x")
    write_frames(tmp_path / "edges.extxyz", [frame])
    _assert_same(frame, read_frames(tmp_path / "edges.extxyz")[0])
    ase.io.write(tmp_path / "ase.extxyz", to_atoms(frame))
    with pytest.raises(LabelError, match="frame_id"):
        read_frames(tmp_path / "ase.extxyz")


@settings(max_examples=150, deadline=None)
@given(note=st.text(st.characters(codec="utf-8")), family=st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(tmp_path_factory, note, family):
    path = tmp_path_factory.mktemp("text") / "x.extxyz"
    frame = _frame(1, note=note, family=family)
    write_frames(path, [frame, frame])
    for back in read_frames(path):
        _assert_same(frame, back)


@pytest.mark.parametrize(
    "note",
    ["", "T", "false", "-0.4", "1 2 3", "nan", "12345678e1234567", "_JSON [1]", 'a "b" \\ c', "{a"],
)
def test_texts_that_look_like_values_stay_texts(tmp_path, note):
    """A frame_id is hexadecimal: one in two thousand has digits only, others read as 1e5."""
    frame = _frame(2, note=note, parent=note or "0000000000000000")
    write_frames(tmp_path / "x.extxyz", [frame])
    _assert_same(frame, read_frames(tmp_path / "x.extxyz")[0])


def test_ase_reads_the_same_atoms(tmp_path):
    frame = _frame(3, charge=-2, note="dimer 1-2")
    write_frames(tmp_path / "x.extxyz", [frame])
    atoms = ase.io.read(tmp_path / "x.extxyz")
    assert atoms.info == to_atoms(frame).info
    assert type(atoms.info["total_charge"]) in (int, np.int64)
    assert atoms.info["total_charge"] == -2
    assert atoms.pbc.all()
    _assert_same(frame, from_atoms(atoms))


def test_labels_come_back_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    labelled = []
    for seed in range(20):
        frame = _frame(seed, charge=-3)
        stress = rng.normal(size=(3, 3)) if seed % 2 else None
        edges = (rng.normal(), rng.normal()) if seed % 3 else (None, None)
        label = Label(-3373.123 * rng.uniform(), rng.normal(size=(len(frame), 3)), stress, *edges)
        labelled.append(LabelledFrame(frame, label, "hse06"))
    write_labelled(tmp_path / "hse06.extxyz", labelled)
    back = read_labelled(tmp_path / "hse06.extxyz", "hse06")
    for a, b in zip(labelled, back, strict=True):
        _assert_same(a.frame, b.frame)
        assert b.fidelity == "hse06"
        assert a.label.energy_eV == b.label.energy_eV
        assert a.label.forces_eV_A.tobytes() == b.label.forces_eV_A.tobytes()
        assert (a.label.vbm_eV, a.label.cbm_eV) == (b.label.vbm_eV, b.label.cbm_eV)
        if a.label.stress_eV_A3 is None:
            assert b.label.stress_eV_A3 is None
        else:
            assert np.array_equal(a.label.stress_eV_A3, b.label.stress_eV_A3)


def test_the_keys_that_training_reads_are_there(tmp_path):
    frame = _frame(4, charge=1)
    label = Label(-1.5, np.ones((len(frame), 3)), np.eye(3) * 0.1)
    write_labelled(tmp_path / "pbe.extxyz", [LabelledFrame(frame, label, "pbe")])
    atoms = ase.io.read(tmp_path / "pbe.extxyz")
    assert atoms.info["REF_energy"] == -1.5
    assert atoms.info["total_charge"] == 1
    assert atoms.arrays["REF_forces"].shape == (len(frame), 3)
    assert np.size(atoms.info["REF_stress"]) == 9


def test_no_frames_make_a_file_of_no_frames(tmp_path):
    write_frames(tmp_path / "none.extxyz", [])
    write_labelled(tmp_path / "nothing.extxyz", [])
    assert read_frames(tmp_path / "none.extxyz") == ()
    assert read_labelled(tmp_path / "nothing.extxyz", "pbe") == ()


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"total_charge=\S+ ", "", r"frame 1, total_charge: missing\. Write"),
        (r"total_charge=\S+", "total_charge=0.5", r"frame 1, total_charge: 0\.5\. "),
        (r"total_charge=\S+", "total_charge=-1.0", r"frame 1, total_charge: -1\.0\. "),
        (r"total_charge=\S+", "total_charge=T", r"frame 1, total_charge: True"),
        (r"total_charge=\S+", "total_charge=-1", r"frame 1, frame_id: "),
        (r"total_spin=\S+ ", "", r"frame 1, total_spin: missing"),
        (r'defect="v_Cd"', 'defect="v__"', r"frame 1, defect name"),
        (r'origin="rattle"', 'origin="magic"', r"frame 1, origin: 'magic'"),
        (r'pbc="T T T"', 'pbc="T T F"', r"frame 1: pbc"),
        (r"\n(Cd|Te|O) \S+", r"\n\1 0.12345", r"frame 1, frame_id: "),
        (r"\n(Cd|Te|O) \S+", r"\n\1 nan", r"frame 1, positions: NaN or infinity"),
        (r"\n(Cd|Te|O) ", r"\n48 ", r"not extended XYZ \(unknown name '48'\)"),
    ],
)
def test_what_is_missing_or_edited_is_named(tmp_path, pattern, replacement, message):
    path = tmp_path / "pool.extxyz"
    write_frames(path, [_frame(5), _frame(6)])
    cut = path.read_text().index("Lattice", 60)
    text = path.read_text()
    broken, count = re.subn(pattern, replacement, text[cut:], count=1)
    assert count == 1
    path.write_text(text[:cut] + broken)
    with pytest.raises(LabelError, match=message) as caught:
        read_frames(path)
    assert "pool.extxyz" in str(caught.value)


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "pool.extxyz"
    with pytest.raises(LabelError, match="no such file"):
        read_frames(path)
    write_frames(path, [_frame(5)])
    path.write_text(path.read_text().rsplit("\n", 2)[0])
    with pytest.raises(LabelError, match="not extended XYZ"):
        read_frames(path)
    write_frames(path, [_frame(5)])
    with pytest.raises(LabelError, match="REF_energy"):
        read_labelled(path, "pbe")


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"REF_energy=\S+", "REF_energy=nan", r"frame 1, energy: NaN or infinity"),
        (r"REF_energy=\S+", "REF_energy=********", r"frame 1, label: is none \(could not convert"),
        (r"(\n(?:Cd|Te|O)(?: \S+){3}) \S+", r"\1 nan", r"frame 1, forces: NaN or infinity"),
        (r'REF_stress="\S+ \S+ \S+ ', 'REF_stress="', r"frame 1, label: is none \(cannot reshape"),
        (r"REF_energy=\S+", "", r"frame 1: REF_energy or REF_forces missing"),
    ],
)
def test_a_label_that_is_none_is_named(tmp_path, pattern, replacement, message):
    path = tmp_path / "labels.extxyz"
    frames = [_frame(5), _frame(6)]
    labels = [Label(-1.5, np.zeros((len(frame), 3)), np.eye(3)) for frame in frames]
    write_labelled(path, [LabelledFrame(*item, "pbe") for item in zip(frames, labels, strict=True)])
    text = path.read_text()
    cut = text.index("Lattice", 60)
    broken, count = re.subn(pattern, replacement, text[cut:], count=1)
    assert count == 1
    path.write_text(text[:cut] + broken)
    with pytest.raises(LabelError, match=rf"labels\.extxyz, {message}"):
        read_labelled(path, "pbe")


def test_one_file_holds_one_fidelity(tmp_path):
    frame = _frame(7)
    label = Label(0.0, np.zeros((len(frame), 3)))
    mixed = [LabelledFrame(frame, label, name) for name in ("pbe", "hse06")]
    with pytest.raises(LabelError, match="hse06, pbe"):
        write_labelled(tmp_path / "x.extxyz", mixed)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "pool.extxyz"
    write_frames(path, [_frame(8)])
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_frames(path, [_frame(9), None])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["pool.extxyz"]


@pytest.mark.parametrize("ending", ["xz", "gz"])
def test_damaged_archives_are_refused_by_name(tmp_path, ending):
    whole = {"xz": lzma.compress, "gz": gzip.compress}[ending](b"2\nx=1\nCd 0 0 0\n" * 500)
    path = tmp_path / f"frames.extxyz.{ending}"
    for content in (whole[: len(whole) // 2], b"junk", whole[:20] + b"\xff" * 9 + whole[29:]):
        path.write_bytes(content)
        with pytest.raises(LabelError, match=rf"frames\.extxyz\.{ending}"):
            read_frames(path)


@settings(max_examples=30, deadline=None)
@given(
    blanks=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    white=st.sampled_from(["", " ", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    start=st.sampled_from(["", "\ufeff"]),
)
def test_blank_lines_between_frames_lose_none(blanks, white, end, start):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pool.extxyz"
        frames = [_frame(5), _frame(6)]
        texts = []
        for frame in frames:
            write_frames(path, [frame])
            texts.append(path.read_text())
        gaps = [f"{white}\n" * count for count in blanks]
        text = gaps[0] + texts[0] + gaps[1] + texts[1] + gaps[2]
        path.write_bytes((start + text.replace("\n", end)).encode())
        assert [frame.frame_id for frame in read_frames(path)] == [frame.frame_id for frame in frames]
    given = "all frames read"
    mistake(
        "imports", "blank lines between frames of extended XYZ, BOM, CRLF", said="", when="import, run", right=given
    )


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_blank_line_inside_a_frame_is_named_by_its_number(data):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pool.extxyz"
        write_frames(path, [_frame(5), _frame(6)])
        lines = path.read_text().split("\n")[:-1]
        first = int(lines[0]) + 2
        inside = [k for k in range(1, len(lines)) if k != first]
        at = data.draw(st.sampled_from(inside))
        path.write_text("\n".join([*lines[:at], "", *lines[at:], ""]))
        with pytest.raises(LabelError, match=f"line {at + 1}: not extended XYZ"):
            read_frames(path)


def test_a_blank_line_inside_a_frame_or_a_file_cut_short(tmp_path):
    path = tmp_path / "pool.extxyz"
    write_frames(path, [_frame(5)])
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:3], "", *lines[3:]]))
    with pytest.raises(LabelError) as blank:
        read_frames(path)
    path.write_text("\n".join(lines[:-2]))
    with pytest.raises(LabelError) as cut:
        read_frames(path)
    said = (blank.value, cut.value)
    given = "refused with the line"
    mistake("imports", "blank line inside a frame, file cut short", said=said, when="check, import, run", right=given)


@pytest.mark.parametrize("lattice", ["", 'Lattice="5 0 0 0 5 0 5 5 0" '])
def test_a_frame_without_a_cell_is_refused(tmp_path, lattice) -> None:
    path = tmp_path / "frames.extxyz"
    path.write_text(
        f"1\n{lattice}Properties=species:S:1:pos:R:3 total_charge=0 total_spin=1 defect=v_Cd origin=rattle "
        'family="v_Cd/x" pbc="T T T"\nTe 0 0 0\n'
    )
    with pytest.raises(LabelError, match="Lattice: missing, or of no volume"):
        read_frames(path)
