"""A foundation potential whose weights come in its wheel, on a study made to be known."""

from pathlib import Path

import numpy as np
import pytest

from defectscape.domain.energies import HostEnergies
from defectscape.domain.errors import EngineError, StoreError
from defectscape.domain.frame import Origin
from defectscape.files.extxyz import read_frames
from defectscape.files.tables import read_json, save_relaxations, save_verified, write_json
from defectscape.search.relaxation import relax_all
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.references import label_host
from defectscape.stages.sampling import make_group_starts
from defectscape.study.context import StudyContext
from defectscape.study.levels import GroundState, Levels
from defectscape.tools.ase_surface import AseSurface
from defectscape.tools.foundation import compare_foundation
from defectscape.tools.foundation_figure import draw_foundation
from support.small_study import small_study, write_study

# CHGNet's own, with a newer torch than it was written for.
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning:chgnet")
CALCULATOR = "chgnet.model.dynamics.CHGNetCalculator"
ARGUMENTS = {"use_device": "cpu"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    """A study whose search and ground states are CHGNet's own, but for one charge state.

    The reference of charge -1 has an atom 0.6 A off, so nobody can find it.
    """
    dynamics = pytest.importorskip("chgnet.model.dynamics", reason="chgnet is not installed")
    folder = tmp_path_factory.mktemp("foundation")
    study = small_study()
    study["label_store"] = str(folder / "labels")
    study["search"] |= {"fmax_eV_A": 0.05, "max_steps": 150, "batch_size": 1}
    made = StudyContext.load(write_study(study, folder), folder / "results")
    prepare_host(made)
    label_host(made)
    list_sites(made)
    make_group_starts(made, "v_Cd")
    files = made.layout.group("v_Cd")
    surface = AseSurface(lambda: dynamics.CHGNetCalculator(**ARGUMENTS))
    relaxations = relax_all(read_frames(files.starts), surface, made.study.search)
    save_relaxations(files.relaxations, relaxations)
    states = []
    for key in sorted({r.start.key for r in relaxations}):
        own = [r for r in relaxations if r.start.key == key and r.converged]
        best = min(own, key=lambda r: r.energy_eV)
        frame = best.final
        if key.charge == -1:
            positions = frame.positions_A.copy()
            positions[0] += [0.6, 0.0, 0.0]
            frame = frame.moved(positions, origin=Origin.MINIMUM)
        states.append(GroundState(key, "v_Cd", 0, frame, best.energy_eV, 0.0, "test", False, None))
        save_verified(files.verified(str(key)), [])
    levels = Levels(tuple(states), HostEnergies(0.0, 0.0, 1.0), (), (), (), ())
    write_json(made.layout.energies, levels)
    return made


def test_it_finds_its_own_minima_is_blind_and_misses_what_it_must(context: StudyContext, tmp_path: Path) -> None:
    target = tmp_path / "foundation_CHGNet.json"
    result = compare_foundation(context, CALCULATOR, ARGUMENTS, "CHGNet", target)
    assert result.version.startswith("chgnet 0.")
    rows = {row.key: row for row in result.foundation}
    assert rows["v_Cd_0"].finds_ground_state
    assert rows["v_Cd_0"].rmsd_A < 0.02
    assert not rows["v_Cd_-1"].finds_ground_state
    assert rows["v_Cd_-1"].rmsd_A > 0.1
    # The study's relaxations are CHGNet's here: both columns must agree.
    for theirs, ours in zip(result.foundation, result.ours, strict=True):
        assert theirs.rmsd_A == pytest.approx(ours.rmsd_A, abs=0.02)
        assert theirs.starts == ours.starts
    (blind,) = result.charge_responses
    assert (blind.charges, blind.energy_eV, blind.force_eV_A) == ((-1, 0), 0.0, 0.0)
    (pair,) = result.pairs
    assert (pair.one, pair.other) == ("v_Cd_-1", "v_Cd_0")
    assert pair.reference_A > 0.1
    assert pair.foundation_A is not None
    content = read_json(target)
    assert content["arguments"] == ARGUMENTS
    assert content["relaxations"] == sum(row.starts for row in result.foundation)
    assert np.isfinite(content["core_s"])
    draw_foundation(result, target)
    assert target.with_suffix(".png").stat().st_size > 5000


def test_what_is_missing_is_named(context: StudyContext, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Install its package"):
        compare_foundation(context, "nowhere.Potential", {}, "x", tmp_path / "x.json")
    with pytest.raises(EngineError, match="Correct its arguments"):
        compare_foundation(context, "ase.calculators.mixing.SumCalculator", {"colour": 1}, "x", tmp_path / "x.json")
    empty = StudyContext.load(write_study(small_study(), tmp_path), tmp_path / "results")
    with pytest.raises(StoreError, match="no such file"):
        compare_foundation(empty, CALCULATOR, ARGUMENTS, "x", tmp_path / "x.json")
