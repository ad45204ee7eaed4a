"""Runs and data as people have them: a bad part costs itself alone, another thing is refused by its name."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from defectscape.cli.app import app
from defectscape.domain.cell import CELL_TOLERANCE_A
from defectscape.domain.errors import LabelError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import HOST_KEY
from defectscape.domain.label import Label
from defectscape.engines.vasp_tags import COMPARED, DEFAULTS, HARMLESS
from defectscape.files.extxyz import write_frames
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.sites import enumerate_sites
from defectscape.store.labels import LabelStore
from defectscape.study.context import StudyContext
from defectscape.tools import import_labels as importing
from defectscape.tools.check import _label_times
from defectscape.tools.import_labels import import_paths
from defectscape.tools.import_offers import SAME_ENERGY_EV, ImportRow, ImportTarget, Offer, imported_record, take
from defectscape.tools.imported_data import check_imported, frame_fault, unused_imported
from defectscape.tools.vasp_runs import is_run_name, offer_run
from support.mistakes import mistake
from support.small_study import small_study, write_study
from support.vasprun import Run, Step, vasprun_text

A = 6.46
CELL = np.eye(3) * A
FRACTIONS = np.array(
    [
        *([0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]),
        *([0.25, 0.25, 0.25], [0.25, 0.75, 0.75], [0.75, 0.25, 0.75], [0.75, 0.75, 0.25]),
    ]
)
SYMBOLS = ["Cd"] * 4 + ["Te"] * 4
ROCKSALT = np.vstack([FRACTIONS[:4], FRACTIONS[:4] + np.full(3, 0.5)]) % 1
OUR_ENGINE = {
    "kind": "vasp",
    "functional": "pbe",
    "command": "vasp_gam",
    "potcar_dir": "nowhere",
    "potcars": {"Cd": "Cd", "Te": "Te"},
    "cutoff_eV": 400.0,
    "kpoints": [1, 1, 1],
    "potcar_titles": {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"},
    "incar": {"LREAL": False, "ADDGRID": False, "PREC": "Accurate", "LASPH": True},
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    """A study of eight atoms of CdTe with VASP at both fidelities."""
    folder = tmp_path_factory.mktemp("strange")
    lines = [" ".join(map(str, row)) for row in FRACTIONS]
    (folder / "host.vasp").write_text(
        f"CdTe\n1.0\n{A} 0 0\n0 {A} 0\n0 0 {A}\nCd Te\n4 4\nDirect\n" + "\n".join(lines) + "\n"
    )
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["host"]["file"] = str(folder / "host.vasp")
    study["host"]["supercell"] = {"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "min_image_distance_A": 3.0}
    study["defects"] = [{"name": "v_Cd", "charges": ["0", "-1"]}]
    study["fidelities"]["low"] = {"name": "pbe", "engine": OUR_ENGINE}
    study["fidelities"]["high"] = {"name": "hse", "engine": {**OUR_ENGINE, "functional": "hse06"}}
    return StudyContext.load(write_study(study, folder), folder / "results")


@pytest.fixture(scope="module")
def target(context: StudyContext) -> ImportTarget:
    host = build_host(read_unit_cell(context.study.host.file), context.study.host.supercell)
    sites = enumerate_sites(host)
    return ImportTarget(context, "low", context.engine("low"), host, sites, None)


def steps(count: int = 3, cell_A: np.ndarray = CELL, seed: int = 0) -> list[Step]:
    """Steps of a vacancy of Cd, each at its own geometry."""
    rng = np.random.default_rng(seed)
    moved = [FRACTIONS[1:] + rng.normal(0, 0.002, (7, 3)) for _ in range(count)]
    return [Step(cell_A, fractions, -20.0 - 0.1 * k) for k, fractions in enumerate(moved)]


def offered(target: ImportTarget, run: Run, name: str = "vasprun.xml") -> Offer:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(vasprun_text(run), encoding="latin-1")
        return offer_run(target, path)


def rows_of(target: ImportTarget, offers: list[Offer], folder: Path) -> tuple[ImportRow, ...]:
    return take(LabelStore(folder / "own_labels"), offers)


VACANCY = SYMBOLS[1:]
UNKNOWN = st.from_regex(r"L?[A-Z]{4,9}X", fullmatch=True).filter(lambda n: n not in HARMLESS | COMPARED | set(DEFAULTS))
BY_THEMSELVES = {"LEPSILON", "LCALCEPS", "ALGO"}
"""pymatgen expects a linear response in the file with the first two, and a word as the third."""
VALUES = st.one_of(
    st.sampled_from(["T", ".TRUE.", "Smart"]),
    st.integers(1, 90).map(str),
    st.floats(0.01, 9.0).map(lambda x: f"{x:.3f}"),
)


@settings(max_examples=15, deadline=None)
@given(name=st.one_of(UNKNOWN, st.sampled_from(sorted(set(DEFAULTS) - BY_THEMSELVES))), value=VALUES)
def test_any_tag_that_is_not_known_to_be_harmless_refuses_unless_it_has_its_default(target, name, value) -> None:
    bare = {".TRUE.": "T"}.get(value, value)
    usual = [float(word) if word.lstrip("-").isdigit() else word for word in DEFAULTS.get(name, "").split()]
    is_default = bare in usual or (bare.replace(".", "").isdigit() and float(bare) in usual)
    offer = offered(target, Run(VACANCY, steps(1), written={name: value}))
    if is_default:
        assert offer.refusal == ""
    else:
        assert f"{name} = {value}" in offer.refusal
        assert not offer.found


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(HARMLESS - {"NELM", "MAGMOM"})), value=st.sampled_from(["7", "0.3", "-1"]))
def test_no_harmless_tag_refuses_whatever_its_value(target, name, value) -> None:
    assert offered(target, Run(VACANCY, steps(1), written={name: value})).refusal == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IDIPOL", "4"),
        ("LMONO", "T"),
        ("LNONCOLLINEAR", "T"),
        ("ICHARG", "11"),
        ("AGGAC", "0.5"),
        ("PSTRESS", "20.0"),
        ("I_CONSTRAINED_M", "1"),
        ("EFIELD", "0.05"),
    ],
)
def test_other_physics_is_refused_also_where_the_parameters_alone_say_it(target, name, value) -> None:
    assert f"{name} = {value}" in offered(target, Run(VACANCY, steps(1), parameters={name: value})).refusal


@pytest.mark.parametrize("algorithm", ["Normal", "all", "D", "Eigenval", "None", "GW0"])
def test_an_algorithm_that_is_not_self_consistent_is_refused(target, algorithm) -> None:
    sound = algorithm in ("Normal", "all", "D")
    refusal = offered(target, Run(VACANCY, steps(1), written={"ALGO": algorithm})).refusal
    assert (refusal == "") if sound else (f"ALGO = {algorithm}" in refusal)


def test_the_exchange_that_a_hybrid_leaves_is_no_foreign_tag(target) -> None:
    high = replace(target, fidelity="high", engine=target.context.engine("high"))
    tags = {"LHFCALC": "T", "AEXX": "0.25", "HFSCREEN": "0.208", "PRECFOCK": "Fast"}
    engine = target.context.fidelity_settings("high").engine
    tags["HFSCREEN"] = str(engine.screening_1_A)
    for exchange, said in (("0.75", False), ("0.5", True)):
        offer = offered(high, Run(VACANCY, steps(1), written=tags, parameters={"AGGAX": exchange}))
        assert ("AGGAX" in offer.refusal) == said


def test_steps_whose_cell_is_not_the_hosts_are_left_out_with_the_number(target, tmp_path) -> None:
    run = [replace(step, cell_A=CELL * (1 + 0.01 * k)) for k, step in enumerate(steps(4))]
    (row,) = rows_of(target, [offered(target, Run(VACANCY, run))], tmp_path)
    assert (row.taken, row.refused) == (1, 3)
    assert f"ionic steps 2, 3, 4): its cell is not the host's to {CELL_TOLERANCE_A} A (by up to 0.1938 A)" in row.reason


@settings(max_examples=12, deadline=None)
@given(off_A=st.floats(-3e-3, 3e-3), axis=st.integers(0, 8))
def test_a_cell_is_the_hosts_and_becomes_it_or_is_refused(target, off_A, axis) -> None:
    cell_A = CELL + off_A * np.eye(9)[axis].reshape(3, 3)
    offer = offered(target, Run(VACANCY, steps(2, cell_A)))
    assert len(offer.found) == (2 if np.abs(cell_A - CELL).max() <= CELL_TOLERANCE_A else 0)
    for (_, record), step in zip(offer.found, steps(2), strict=False):
        np.testing.assert_allclose(record.frame.cell_A, CELL, atol=0.5e-5)
        fractions = record.frame.positions_A @ np.linalg.inv(record.frame.cell_A)
        gaps = fractions[:, None] - step.fractions[None]
        assert np.abs(gaps - np.rint(gaps)).max(axis=2).min(axis=1).max() < 2e-6


FAULTS = {
    "sound": {},
    "energy": {"energy": "****************"},
    "force": {"force": "************"},
    "force_grown": {"force": "-0.123************"},
    "forces_glued": {"force": "-123.45678901-123.45678901"},
    "no forces": {"without": "forces"},
    "no structure": {"without": "structure"},
    "SCF": {"cycles": 60},
    "cell": {"cell_A": CELL * 1.02},
    "atoms": {"fractions": ROCKSALT[1:]},
}


@settings(max_examples=15, deadline=None)
@given(faults=st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=6))
def test_a_bad_step_costs_itself_alone_and_the_counts_add_up(target, faults) -> None:
    sound = faults.count("sound")
    run = [replace(step, **FAULTS[fault]) for step, fault in zip(steps(len(faults)), faults, strict=True)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vasprun.xml"
        path.write_text(vasprun_text(Run(VACANCY, run)), encoding="latin-1")
        if not sound:
            return
        (row,) = rows_of(target, [offer_run(target, path)], Path(folder))
        assert (row.taken, row.refused) == (sound, len(faults) - sound)
        for number, fault in enumerate(faults, 1):
            assert fault == "sound" or str(number) in row.reason


@pytest.mark.parametrize("vacancy", [False, True])
def test_another_crystal_in_the_same_cell_is_refused(target, vacancy) -> None:
    start = int(vacancy)
    offer = offered(target, Run(SYMBOLS[start:], [Step(CELL, ROCKSALT[start:])]))
    assert "atoms are more than 1.0 A from the host's sites" in offer.refusal
    offer = offered(target, Run(SYMBOLS[start:], [Step(CELL, FRACTIONS[start:] + np.array([0.1, 0.2, 0.3]))]))
    assert (offer.refusal, len(offer.found)) == ("", 1)


def test_two_energies_of_one_geometry_are_reported_and_none_is_chosen(target, tmp_path) -> None:
    (step,) = steps(1)
    energies = {"a": -20.0, "b": -20.8}
    offers = [offered(target, Run(VACANCY, [replace(step, energy=e)]), f"vasprun_{n}.xml") for n, e in energies.items()]
    rows = rows_of(target, offers, tmp_path)
    assert [(row.taken, row.refused) for row in rows] == [(0, 1), (0, 1)]
    for row in rows:
        assert "-20.800000 eV" in row.reason
        assert "-20.000000 eV" in row.reason
    mistake(
        "imports",
        "one geometry with two energies (files, or file and store), also where coordinates round to different hashes",
        said=re.sub(r"\S+/(?=vasprun_)", "", rows[0].reason),
        when="import",
        right="none taken, both named; a stored label stays",
    )
    (first,) = rows_of(target, offers[:1], tmp_path)
    (second,) = rows_of(target, offers[1:], tmp_path)
    assert (first.taken, second.taken) == (1, 0)
    assert "-20.000000 eV in the label store" in second.reason
    close = offered(target, Run(VACANCY, [replace(step, energy=-20.0 - 0.5 * SAME_ENERGY_EV)]))
    assert [row.taken for row in rows_of(target, [close], tmp_path)] == [1]


def test_a_geometry_is_one_also_where_its_hash_is_another(target, tmp_path) -> None:
    # 1e-5 A apart at the place where rounding changes.
    (step,) = steps(1)
    near = replace(step, fractions=step.fractions + 6e-6 / A, energy=-21.0)
    offers = [offered(target, Run(VACANCY, [step]), "vasprun_a.xml"), offered(target, Run(VACANCY, [near]))]
    keys = {record.key for offer in offers for _, record in offer.found}
    assert len(keys) == 2
    assert [row.taken for row in rows_of(target, offers, tmp_path)] == [0, 0]


@pytest.mark.parametrize(
    "name",
    [
        "vasprun.xml",
        "vasprun.xml.gz",
        "vasprun.xml.bz2",
        "vasprun.xml.xz",
        "vasprun.xml.relax2.gz",
        "vasprun.relax1.xml.gz",
        "vasprun_rattled.xml",
        "VASPRUN.XML",
        "bulk_vasprun.xml.gz",
        "vasprun.xml.orig",
        "vasprun (copy).xml",
        "hse vasprun.xml.gz",
    ],
)
def test_runs_are_known_by_the_names_that_people_give_them(target, tmp_path, name) -> None:
    assert is_run_name(name)
    text = vasprun_text(Run(VACANCY, steps(1))).encode("latin-1")
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(Path(name).suffix, bytes)
    (tmp_path / name).write_bytes(pack(text))
    offer = offer_run(target, tmp_path / name)
    assert len(offer.found) == 1
    mistake(
        "imports",
        "vasprun.xml.relax2.gz, .bz2, .xz, vasprun_rattled.xml, VASPRUN.XML",
        said=offer.refusal,
        when="import",
        right="read, unpacked by content",
    )


@pytest.mark.parametrize("content", [b"", b"(\xb5/\xfd packed by zstd", b"<html><modeller/></html>"])
def test_a_file_that_is_no_vasprun_says_what_is_read(target, tmp_path, content) -> None:
    (tmp_path / "vasprun.xml").write_bytes(content)
    with pytest.raises(LabelError, match=r"is empty, or no vasprun\.xml\. .*packed by gzip, bzip2 or xz"):
        offer_run(target, tmp_path / "vasprun.xml")


def test_a_run_that_ends_inside_its_first_step_is_told_as_cut_short(target, tmp_path) -> None:
    whole = vasprun_text(Run(VACANCY, steps(2)))
    said = []
    for mark in ("</generator>", "<parameters>", "<calculation>", 'name="forces"', "</calculation>"):
        path = tmp_path / "vasprun.xml"
        path.write_text(whole[: whole.index(mark)], "latin-1")
        with pytest.raises(LabelError, match="is cut short, and has no whole ionic step") as caught:
            offer_run(target, path)
        said.append(caught.value)
    mistake("imports", "vasprun.xml cut short inside its first ionic step", said=tuple(said), when="import")


@pytest.mark.parametrize("name", [".vasprun.xml.swp", "vasprun.xml.md5", "vasprun.json", "myvasprunner.xml", "OUTCAR"])
def test_what_is_no_run_is_not_read_as_one(name) -> None:
    assert not is_run_name(name)


@settings(max_examples=12, deadline=None)
@given(moment=st.floats(0, 3))
def test_a_moment_that_is_no_whole_number_is_told(target, moment) -> None:
    refusal = offered(target, Run(VACANCY, steps(1), moment=moment)).refusal
    off = abs(moment - round(moment))
    if off > 0.051:
        assert f"total moment of {moment:.3f}"[:-1] in refusal
    elif off < 0.049:
        assert ("ended with multiplicity" in refusal) == (round(moment) != 0)


def test_data_of_another_supercell_are_refused(target) -> None:
    def fault(frame: Frame) -> str:
        return frame_fault(target.host, target.sites, frame)

    (_, record), *_ = offered(target, Run(VACANCY, steps(1))).found
    frame = record.frame
    assert fault(frame) == ""
    double = replace(
        frame,
        numbers=np.concatenate([target.host.numbers, frame.numbers]),
        positions_A=np.vstack([target.host.positions_A + CELL[0], frame.positions_A]),
        cell_A=np.diag([2 * A, A, A]),
    )
    assert "Cd7Te8, the perfect supercell is Cd4Te4" in fault(double)
    assert "lattice vectors differ" in fault(replace(frame, cell_A=CELL * 1.01, positions_A=frame.positions_A * 1.01))
    assert "not of this host" in fault(replace(frame, key=replace(frame.key, defect="v_Zn")))
    assert fault(replace(double, origin=Origin.REFERENCE)) == ""
    given = "the frame is named"
    mistake("imports", "15-atom data set into an 8-atom study", said=fault(double), when="import, check", right=given)


def test_frames_of_another_spin_state_are_refused(target, context, tmp_path) -> None:
    frame = offered(target, Run(VACANCY, steps(1))).found[0][1].frame
    study = context.study.model_copy(update={"imported": [tmp_path / "frames.extxyz"]})
    said = []
    for multiplicity in (2, 3):
        other = replace(frame, multiplicity=multiplicity)
        assert f"multiplicity {multiplicity}, the study computes v_Cd_0 with 1" in frame_fault(
            target.host, target.sites, other
        )
        write_frames(tmp_path / "frames.extxyz", [frame, other])
        with pytest.raises(LabelError, match=r"frames\.extxyz, frame 1: total_spin: multiplicity") as caught:
            check_imported(study, target.host, target.sites)
        said.append(caught.value)
    mistake(
        "imports",
        "frame whose spin its electrons cannot have, or a triplet, in `imported` or a data set",
        said=tuple(said),
        when="import, check, run",
    )


def test_frames_that_no_group_uses_are_told(target, context, tmp_path) -> None:
    frame = offered(target, Run(VACANCY, steps(1))).found[0][1].frame
    study = context.study.model_copy(update={"imported": [tmp_path / "frames.extxyz"]})
    charged = replace(frame, key=replace(frame.key, charge=-2))
    other = replace(frame, key=replace(frame.key, defect="v_Zn"))
    write_frames(tmp_path / "frames.extxyz", [frame])
    assert unused_imported(study, [frame.key]) == ()
    write_frames(tmp_path / "frames.extxyz", [frame, other, charged, charged])
    (line,) = unused_imported(study, [frame.key])
    assert "3 frames are not used" in line
    assert line.endswith(": 2 of v_Cd_-2, 1 of v_Zn_0")
    mistake(
        "imports",
        "frames of another defect or charge state in `imported`",
        said=line,
        when="check",
        right="the others are taken",
    )


def test_imported_labels_have_no_time_to_estimate_with(target, context, tmp_path) -> None:
    host = target.host
    frame = Frame(host.numbers, host.positions_A, host.cell_A, HOST_KEY, 1, Origin.HOST, "host")
    record = imported_record(target.engine, frame, Label(-20.0, np.zeros((8, 3))), "vasp", {})
    context.store.put(record)
    assert _label_times(context, 8)["low"] == []
    context.store.path(record.key).unlink()


def test_the_check_names_imported_frames_of_another_supercell(target, context, tmp_path) -> None:
    frame = offered(target, Run(VACANCY, steps(1))).found[0][1].frame
    study = context.study.model_copy(update={"imported": [tmp_path / "frames.extxyz"]})
    write_frames(tmp_path / "frames.extxyz", [frame])
    check_imported(study, target.host, target.sites)
    for other in (
        replace(frame, cell_A=CELL * 1.001),
        replace(frame, numbers=target.host.numbers, positions_A=target.host.positions_A),
    ):
        write_frames(tmp_path / "frames.extxyz", [frame, other])
        with pytest.raises(LabelError, match=r"imported, .*frames\.extxyz, frame 1") as caught:
            check_imported(study, target.host, target.sites)
    mistake(
        "imports",
        "frame of the perfect crystal under a defect's name in `imported`",
        said=caught.value,
        when="check, run",
    )


def test_a_file_of_another_kind_is_told_what_can_be_imported(target, context, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(importing, "enumerate_named_sites", lambda *_, **__: target.sites)
    (tmp_path / "OUTCAR").write_text("x")
    (row,) = import_paths(context, "low", [tmp_path / "OUTCAR"])
    assert "vasprun.xml (also .gz, .bz2, .xz)" in row.reason
    mistake("imports", "OUTCAR, train.xyz given to import", said=row.reason, when="import")


@pytest.fixture
def came_of(target, tmp_path) -> Callable[..., ImportRow]:
    """What came of a run that is imported by itself, into an empty store."""

    def call(run: Run, name: str = "vasprun.xml") -> ImportRow:
        with TemporaryDirectory(dir=tmp_path) as folder:
            path = Path(folder) / "runs/v_Cd_0" / name
            path.parent.mkdir(parents=True)
            path.write_text(vasprun_text(run), encoding="latin-1")
            (row,) = rows_of(target, [offer_run(target, path)], Path(folder))
        return row

    return call


def taken(row: ImportRow) -> str:
    """How many steps of a run were taken."""
    return f"{row.taken} of {row.taken + row.refused} steps taken"


def test_runs_of_other_physics_that_people_import(came_of) -> None:
    rows = [
        came_of(Run(VACANCY, steps(1), parameters={name: value})) for name, value in (("IDIPOL", "4"), ("LMONO", "T"))
    ]
    assert [row.taken for row in rows] == [0, 0]
    mistake(
        "imports",
        "IDIPOL, LMONO, LNONCOLLINEAR, ICHARG = 11, AGGAC or any tag not harmless, compared or its default",
        said=rows[0].reason,
        when="import",
        right="refused; the study's own value of the tag is accepted",
    )
    row = came_of(Run(VACANCY, steps(1), written={"ALGO": "Eigenval"}))
    mistake("imports", "a run that was not self-consistent", said=row.reason, when="import", right=taken(row))
    row = came_of(Run(VACANCY, steps(1), moment=0.4))
    right = "refused beyond 0.05 from a whole number"
    mistake("imports", "total moment of 0.4", said=row.reason, when="import", right=right)


def test_runs_with_bad_steps_that_people_import(came_of) -> None:
    grown = [replace(step, cell_A=CELL * (1 + 0.01 * k)) for k, step in enumerate(steps(4))]
    row = came_of(Run(VACANCY, grown))
    mistake(
        "imports",
        "ISIF = 3 relaxation of a defect, cell grows by 3 %",
        said=row.reason,
        when="import",
        right=f"{taken(row)}, in the host's cell",
    )
    row = came_of(Run(VACANCY, steps(2, CELL + 0.005 * np.eye(3))))
    right = f"refused; one tolerance, {CELL_TOLERANCE_A} A, from import to formation energies"
    mistake(
        "imports",
        "lattice off by 0.005 A (another relaxation of the host)",
        said=row.reason,
        when="import",
        right=right,
    )
    row = came_of(Run(VACANCY, steps(2, CELL + 0.0005 * np.eye(3))))
    np.testing.assert_allclose(row.frames[0].cell_A, CELL, atol=0.5e-5)
    right = f"{taken(row)}, in the host's own cell, fractional coordinates kept"
    mistake("imports", "lattice off by 0.0005 A (rounded POSCAR)", said=row.reason, when="import", right=right)
    first, *others = steps(3)
    row = came_of(Run(VACANCY, [replace(first, energy="****************"), *others]))
    given = taken(row)
    mistake(
        "imports", "one step with asterisks for energy, force or position", said=row.reason, when="import", right=given
    )
    row = came_of(Run(VACANCY, [replace(first, without="forces"), *others]))
    mistake("imports", "step without forces or structure", said=row.reason, when="import", right=taken(row))
    row = came_of(Run(VACANCY, [replace(first, cycles=60), *others]))
    mistake("imports", "step whose SCF stopped at NELM", said=row.reason, when="import", right=taken(row))
    row = came_of(Run(SYMBOLS, [Step(CELL, ROCKSALT)]))
    mistake("imports", "rocksalt in the zinc-blende cell", said=row.reason, when="import", right=taken(row))


def test_the_estimate_after_an_import(target, context) -> None:
    host = target.host
    frame = Frame(host.numbers, host.positions_A, host.cell_A, HOST_KEY, 1, Origin.HOST, "host")
    record = imported_record(target.engine, frame, Label(-20.0, np.zeros((8, 3))), "vasp", {})
    context.store.put(record)
    study = context.study.label_store.parent / "study.yaml"
    done = CliRunner().invoke(app, ["--study", str(study), "check"])
    context.store.path(record.key).unlink()
    line = next(line for line in done.output.splitlines() if line.startswith("labels") and " pbe " in line)
    said = line.partition("; ")[2]
    mistake("imports", "imported labels alone, to estimate the time with", said=said, when="check", right="unknown")
