"""Import: what is taken is right, what is refused is named, and nothing else happens."""

import gzip
import lzma
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from defectscape.domain.errors import LabelError, StoreError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.engines.labelling import label_frames
from defectscape.engines.vasp_output import read_run
from defectscape.files.extxyz import read_labelled
from defectscape.sampling.host import build_host, read_unit_cell
from defectscape.sampling.site_names import pick_site
from defectscape.sampling.sites import defect_frame, enumerate_sites
from defectscape.study.context import StudyContext
from defectscape.tools import import_labels as importing
from defectscape.tools.data_sets import card_path, export, read_card, read_data_set
from defectscape.tools.import_labels import import_paths
from support import ROOT
from support.mistakes import mistake
from support.small_study import small_study, write_study

FOLDER = ROOT / "tests/data/vasp"
CDTE = ("cdte_Cd_i_C3v_0", "cdte_Cd_i_Td_Te_0")
DAMAGE = {
    "archive": lambda packed, _: ("vasprun.xml.gz", packed[: len(packed) // 2]),
    "head": lambda _, text: ("vasprun.xml", text[: text.index(b"<atominfo>") + 200]),
    "empty": lambda *_: ("vasprun.xml", b""),
}


@pytest.fixture(scope="module", autouse=True)
def one_search_per_host():
    """The search for a host's sites takes seconds and depends on the host alone."""
    known: dict[bytes, Any] = {}

    def search(context, host, **options):
        key = host.numbers.tobytes() + host.positions_A.tobytes() + repr(options).encode()
        if key not in known:
            known[key] = enumerate_sites(host, **options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "enumerate_named_sites", search)
        yield


def vasp_study(folder: Path, **changes: Any) -> StudyContext:
    """The study that the CdTe runs belong to."""
    Structure.from_spacegroup("F-43m", Lattice.cubic(13.086768 / 2), ["Cd", "Te"], [[0, 0, 0], [0.25] * 3]).to(
        str(folder / "CdTe.vasp"), "poscar"
    )
    engine = {
        "kind": "vasp",
        "functional": "hse06",
        "command": "vasp_gam",
        "potcar_dir": "nowhere",
        "potcars": {"Cd": "Cd", "Te": "Te"},
        "cutoff_eV": 450.0,
        "kpoints": [1, 1, 1],
        "potcar_titles": {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"},
        "exx_fraction": 0.345,
        "screening_1_A": 0.2,
        "incar": {"LREAL": False, "ADDGRID": True},
    }
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["host"]["file"] = str(folder / "CdTe.vasp")
    study["host"]["supercell"] = {
        "matrix": [[2, 0, 0], [0, 2, 0], [0, 0, 2]],
        "min_image_distance_A": 12.0,
    }
    study["defects"] = [{"name": "i_Cd_2", "charges": ["0"]}]
    study["fidelities"]["high"] = {"name": "hse", "engine": engine | changes}
    study["fidelities"]["low"] = {"name": "pbe", "engine": {**engine, "functional": "pbe"}}
    return StudyContext.load(write_study(study, folder), folder / "results")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory):
    """The whole folder of reference runs, imported into the hybrid level."""
    context = vasp_study(tmp_path_factory.mktemp("vasp"))
    return context, import_paths(context, "high", [FOLDER])


def test_both_trajectories_are_taken_and_the_other_crystal_is_not(imported) -> None:
    context, rows = imported
    table = {row.path.parent.name: row for row in rows}
    assert [(table[name].taken, table[name].key) for name in CDTE] == [
        (3, "i_Cd_2_0"),
        (2, "i_Cd_2_0"),
    ]
    for name, steps in (("mgo_Mg_O_0", 2), ("mgo_bulk", 3)):
        assert (table[name].taken, table[name].refused) == (0, steps)
        assert "perfect supercell is Cd32Te32" in table[name].reason
    assert sum(1 for _ in context.store.records()) == 5
    right = "positions and forces inverted, taken"
    given = table[CDTE[1]].reason
    mistake("imports", "zinc blende with anions at 3/4, host at 1/4", said=given, when="import", right=right)
    mistake("imports", "a run of another crystal", said=table["mgo_Mg_O_0"].reason, when="import")


def test_labels_are_the_runs_own_and_the_engine_finds_them(imported) -> None:
    context, rows = imported
    for row in rows[:2]:
        run = read_run(row.path)
        for frame, step in zip(row.frames, run.steps, strict=True):
            record = context.record(frame, "high")
            assert record.label.energy_eV == step.label.energy_eV
            assert (frame.charge, frame.multiplicity) == (0, 1)
            # Whatever the order: each atom has its own force. These runs have Te at 3/4, the study's host at 1/4.
            mine = {tuple(np.round(p, 6)): f for p, f in zip(frame.positions_A, record.label.forces_eV_A, strict=True)}
            for position, force in zip(step.positions_A, step.label.forces_eV_A, strict=True):
                np.testing.assert_array_equal(mine[tuple(np.round(-position, 6))], -force)
    assert not context.store.calls()


def test_a_second_import_changes_nothing(imported) -> None:
    context, _ = imported
    before = sorted(p.read_bytes() for p in context.store.root.rglob("records/*/*.json"))
    assert [row.taken for row in import_paths(context, "high", [FOLDER / CDTE[0]])] == [3]
    assert sorted(p.read_bytes() for p in context.store.root.rglob("records/*/*.json")) == before


@pytest.mark.parametrize(
    ("level", "changes", "telling"),
    [
        ("low", {}, "another level of theory than pbe: exx_fraction: 0.345, not 0.0"),
        ("high", {"cutoff_eV": 400.0}, "cutoff_eV: 450.0, not 400.0"),
        ("high", {"kpoints": [2, 2, 2]}, "kpoints: (1, 1, 1), not (2, 2, 2)"),
        ("high", {"incar": {"ADDGRID": True}}, "real_space: False, not True"),
        ("high", {"convergence_eV": 1e-8}, "fidelity hse asks for 1e-08"),
    ],
)
def test_labels_of_other_settings_are_refused_with_the_difference(
    tmp_path: Path, level: str, changes: dict[str, Any], telling: str
) -> None:
    context = vasp_study(tmp_path, **changes)
    (row,) = import_paths(context, level, [FOLDER / CDTE[0]])
    assert (row.taken, row.refused) == (0, 3)
    assert telling in row.reason
    assert not context.store.root.exists()


def test_a_tree_of_distortions_keeps_them_apart(tmp_path: Path) -> None:
    for name in ("Bond_Distortion_-40.0%", "Unperturbed"):
        folder = tmp_path / "tree/Cd_i_0" / name
        folder.mkdir(parents=True)
        shutil.copy(FOLDER / CDTE[1] / "vasprun.xml.gz", folder)
    rows = import_paths(vasp_study(tmp_path), "high", [tmp_path / "tree"])
    families = [{frame.family for frame in row.frames} for row in rows]
    assert families == [{"i_Cd_2/Bond_Distortion_-40.0_"}, {"i_Cd_2/Unperturbed"}]
    assert [row.taken for row in rows] == [2, 2]


def test_a_damaged_run_is_refused_and_stops_nobody(tmp_path: Path) -> None:
    packed = (FOLDER / CDTE[0] / "vasprun.xml.gz").read_bytes()
    for kind, damage in DAMAGE.items():
        name, content = damage(packed, gzip.decompress(packed))
        (tmp_path / "tree" / kind).mkdir(parents=True)
        (tmp_path / "tree" / kind / name).write_bytes(content)
    (tmp_path / "tree/sound").mkdir()
    shutil.copy(FOLDER / CDTE[0] / "vasprun.xml.gz", tmp_path / "tree/sound")
    *damaged, sound = import_paths(vasp_study(tmp_path), "high", [tmp_path / "tree"])
    assert [row.path.parent.name for row in damaged] == sorted(DAMAGE)
    for row in damaged:
        assert (row.taken, row.frames) == (0, ())
        told = ("cannot be read", "no vasprun.xml", "is cut short, and has no whole ionic step")
        assert any(words in row.reason for words in told)
    assert sound.taken == 3


def tight_binding(folder: Path, **engine: Any) -> StudyContext:
    study = deepcopy(small_study())
    study["label_store"] = str(folder / "labels")
    study["fidelities"]["low"]["engine"] |= engine
    folder.mkdir(exist_ok=True)
    return StudyContext.load(write_study(study, folder), folder / "results")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of a vacancy's labels, and the data set made of them."""
    folder = tmp_path_factory.mktemp("labelled")
    context = tight_binding(folder)
    host = build_host(read_unit_cell(context.study.host.file), context.study.host.supercell)
    site = pick_site(enumerate_sites(host), "v_Cd")
    frames = []
    for charge in (0, -1):
        start = defect_frame(host, site, charge)
        for seed in range(2):
            moves = np.random.default_rng(seed).normal(0, 0.05, start.positions_A.shape)
            frames.append(start.moved(start.positions_A + moves, origin=Origin.RATTLE))
    label_frames(frames, context.engine("low"), context.store, 30.0, "test")
    export(context, "low", folder / "low.extxyz.xz")
    return folder


@pytest.fixture
def exported(labelled: Path, tmp_path: Path) -> tuple[StudyContext, Path]:
    """A copy of them, to be changed at will."""
    shutil.copytree(labelled, tmp_path / "one")
    return tight_binding(tmp_path / "one"), tmp_path / "one/low.extxyz.xz"


def test_a_data_set_comes_back_to_the_bit_with_what_it_cost(exported, tmp_path: Path) -> None:
    context, path = exported
    other = tight_binding(tmp_path / "two")
    (row,) = import_paths(other, "low", [path])
    assert (row.taken, row.refused, row.key) == (4, 0, "v_Cd_-1, v_Cd_0")
    for frame in row.frames:
        mine, theirs = context.record(frame, "low"), other.record(frame, "low")
        assert mine.label.energy_eV == theirs.label.energy_eV
        assert mine.label.forces_eV_A.tobytes() == theirs.label.forces_eV_A.tobytes()
        assert mine.label.vbm_eV == theirs.label.vbm_eV
        assert theirs.core_s == pytest.approx(mine.core_s, abs=0.01)
        assert (theirs.engine_version, theirs.timestamp) == (mine.engine_version, mine.timestamp)
        assert theirs.frame.family == mine.frame.family
    assert not other.store.calls()


def test_what_another_data_set_has_can_be_left_out(exported, tmp_path: Path) -> None:
    context, path = exported
    (first, *_) = [item.frame for item, _ in read_data_set(path, read_card(path))]
    moves = np.random.default_rng(7).normal(0, 0.05, first.positions_A.shape)
    new = first.moved(first.positions_A + moves, origin=Origin.RATTLE)
    label_frames([new], context.engine("low"), context.store, 30.0, "test")
    card = export(context, "low", tmp_path / "new.extxyz", (path,))
    ((item, _),) = read_data_set(tmp_path / "new.extxyz", card)
    assert item.frame.geometry_hash == new.geometry_hash
    assert sum(count for _, count in export(context, "low", tmp_path / "all.extxyz").labels) == 5


def test_a_card_says_what_the_labels_are(exported) -> None:
    context, path = exported
    card = read_card(path)
    assert (card.fidelity, card.method) == ("gfn1", "GFN1-xTB")
    assert card.settings == context.engine("low").settings_json
    assert card.labels == (("v_Cd_-1", 2), ("v_Cd_0", 2))
    data = read_data_set(path, card)
    assert card.core_s == pytest.approx(sum(info["core_s"] for _, info in data), abs=0.3)
    assert len(read_labelled(path, "gfn1")) == 4


def test_a_card_that_is_none_or_of_other_data_is_refused(exported, tmp_path: Path) -> None:
    _, path = exported
    card = card_path(path)
    text = card.read_text()
    for old, new, telling in (
        ('"format": 1', '"format": 99', "format 99, known is 1"),
        ('"settings": "{', '"settings": "', "is no card"),
        ('"v_Cd_0",\n   2', '"v_Cd_0",\n   1', "its card counts"),
    ):
        assert old in text
        card.write_text(text.replace(old, new))
        (row,) = import_paths(tight_binding(tmp_path / "two"), "low", [path])
        assert row.taken == 0
        assert telling in row.reason


def test_each_data_file_has_its_own_card() -> None:
    names = ("a.extxyz", "a.extxyz.xz", "a.low.extxyz.gz", "a.high.extxyz")
    cards = [card_path(Path("d") / name) for name in names]
    assert [card.name for card in cards] == [
        "a.card.json",
        "a.card.json",
        "a.low.card.json",
        "a.high.card.json",
    ]


def test_data_of_other_settings_or_without_a_card_are_refused(exported, tmp_path: Path) -> None:
    _, path = exported
    hot = tight_binding(tmp_path / "hot", electronic_temperature_K=1000.0)
    (row,) = import_paths(hot, "low", [path])
    assert row.taken == 0
    assert "electronic_temperature_K: 300.0, not 1000.0" in row.reason
    (row,) = import_paths(hot, "high", [path])
    assert "labels of tblite/GFN1-xTB, fidelity ipea1 is tblite/IPEA1-xTB" in row.reason
    mistake("imports", "a data set of another method", said=row.reason, when="import")
    card_path(path).unlink()
    (row,) = import_paths(tight_binding(tmp_path / "two"), "low", [path])
    assert (row.taken, "has no card low.card.json beside it" in row.reason) == (0, True)
    mistake("imports", "a data set without its card", said=row.reason, when="import")


def test_a_damaged_data_set_is_refused_and_stops_nobody(exported, tmp_path: Path) -> None:
    _, path = exported
    damaged = tmp_path / "damaged.extxyz.xz"
    damaged.write_bytes(path.read_bytes()[:-100])
    shutil.copy(card_path(path), card_path(damaged))
    rows = import_paths(tight_binding(tmp_path / "two"), "low", [damaged, path])
    assert [row.taken for row in rows] == [0, 4]
    assert damaged.name in rows[0].reason


def test_an_edited_number_of_a_geometry_is_refused(exported, tmp_path: Path) -> None:
    _, path = exported
    text = lzma.decompress(path.read_bytes()).decode()
    words = text.splitlines()[2].split()
    path.write_bytes(lzma.compress(text.replace(words[1], "0.123456", 1).encode()))
    (row,) = import_paths(tight_binding(tmp_path / "two"), "low", [path])
    assert row.taken == 0
    assert "edited or damaged" in row.reason
    mistake("imports", "a data set with an edited coordinate", said=row.reason, when="import")


def test_frames_of_other_defects_are_counted_as_refused(exported, tmp_path: Path) -> None:
    context, path = exported
    stranger = Frame([30, 34], np.eye(2, 3), np.eye(3) * 5, DefectKey("v_Zn", 0), 1, Origin.START, "f")
    label_frames([stranger], context.engine("low"), context.store, 30.0, "test")
    export(context, "low", path)
    (row,) = import_paths(tight_binding(tmp_path / "two"), "low", [path])
    assert (row.taken, row.refused) == (4, 1)
    assert "v_Zn_0" in row.reason


def test_nothing_to_import_or_to_export_is_an_error(tmp_path: Path) -> None:
    context = tight_binding(tmp_path / "one")
    with pytest.raises(LabelError, match="no vasprun"):
        import_paths(context, "low", [tmp_path])
    with pytest.raises(LabelError, match="not there"):
        import_paths(context, "low", [tmp_path / "nowhere"])
    with pytest.raises((LabelError, StoreError), match="no label"):
        export(context, "low", tmp_path / "x.extxyz")
