"""Transition levels: from formation energies, of perturbed host states, and where nothing was verified."""

import json
import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from defectscape.domain.energies import FormationEnergy, MemberEnergies
from defectscape.domain.envelope import crossing_eV, lowest_lines
from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.files.quiet import quiet
from defectscape.files.tables import save_verified
from defectscape.sampling.sites import defect_frame
from defectscape.settings.groups import exploration_groups
from defectscape.stages import thermo
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.thermo import compute_levels
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, site_of
from defectscape.study.levels import read_levels
from defectscape.study.references import ReferenceLabel, References, write_references
from defectscape.summary import provenance
from defectscape.thermo.levels import host_state_suspicion, transition_levels
from support import ROOT
from support.small_study import small_study, write_study

# Levels from formation energies: published numbers, invariances, negative U, uncertainties.


SB2SE3 = ROOT / "tests/data/sb2se3/input-fermi.dat"


def state(defect, charge, energy, **more):
    return FormationEnergy(DefectKey(defect, charge), "X-rich", energy, **more)


def published():
    """Formation energies of the file at E_F = VBM, and its gap."""
    lines = [line.split("#")[0].split() for line in SB2SE3.read_text().splitlines()]
    gap, rows, states = float(lines[2][0]), lines[5:], []
    while rows:
        name, count, _ = rows[0]
        for charge, energy, _ in rows[1 : int(count) + 1]:
            states.append(state(name.replace("Vac", "v"), int(charge), float(energy)))
        rows = rows[int(count) + 1 :]
    return states, gap


@pytest.mark.parametrize(
    ("defect", "expected"),
    [
        ("v_Sb_1", {"(+1/0)": 1.161, "(0/-1)": 0.320, "(-1/-2)": 0.945, "(-2/-3)": 0.101}),
        ("v_Sb_2", {"(+1/0)": 1.243, "(0/-1)": 0.173, "(-1/-2)": 1.069, "(-2/-3)": 0.140}),
    ],
)
def test_published_levels_of_antimony_vacancies(defect, expected):
    states, gap = published()
    levels = {x.label: x for x in transition_levels(states, gap) if x.defect == defect}
    for label, value in expected.items():
        assert levels[label].level_eV == pytest.approx(value, abs=1e-3)
        assert levels[label].in_gap


def test_published_file_is_read_whole_and_every_envelope_is_the_lowest_line():
    states, gap = published()
    assert (len({s.key.defect for s in states}), len(states), gap) == (22, 140, 1.419)
    for defect in {s.key.defect for s in states}:
        mine = [s for s in states if s.key.defect == defect]
        lowest_at_each_level(mine, gap)


def at_eV(line, fermi_eV):
    return line.energy_eV + line.charge * fermi_eV


def lowest_at_each_level(lines, gap):
    """Between two corners of the envelope its line is the lowest of all."""
    hull = lowest_lines(lines)
    corners = [crossing_eV(*pair) for pair in pairwise(hull)]
    assert corners == sorted(corners)
    for fermi in np.linspace(-2.0005, gap + 2.0005, 400):
        chosen = hull[sum(corner < fermi for corner in corners)]
        assert at_eV(chosen, fermi) <= min(at_eV(line, fermi) for line in lines) + 1e-9


def test_the_envelope_of_random_lines_is_lowest_everywhere():
    rng = np.random.default_rng(0)
    for _ in range(50):
        charges = rng.permutation(range(-4, 5))[: rng.integers(1, 9)]
        lowest_at_each_level([state("v_A", int(q), rng.normal()) for q in charges], 1.5)


def test_donor_and_acceptor_levels_by_hand():
    # + is stable below E_F = 0.4 (donor), - above 1.1 (acceptor)
    states = [state("v_A", 0, 1.0), state("v_A", 1, 0.6), state("v_A", -1, 2.1)]
    levels = transition_levels(states, 1.5)
    assert [(x.label, x.stable, x.in_gap) for x in levels] == [
        ("(+1/0)", True, True),
        ("(0/-1)", True, True),
    ]
    assert [x.level_eV for x in levels] == pytest.approx([0.4, 1.1])


def test_negative_u_state_is_flagged_and_its_levels_are_metastable():
    # (+/0) at 1.0 lies above (0/-) at 0.2: the neutral state is never lowest; (+/-) at 0.6
    states = [state("v_A", 1, 0.0), state("v_A", 0, 1.0), state("v_A", -1, 1.2)]
    assert [s.key.charge for s in lowest_lines(states)] == [1, -1]
    levels = {x.label: x for x in transition_levels(states, 1.5)}
    assert levels["(+1/-1)"].level_eV == pytest.approx(0.6)
    assert levels["(+1/-1)"].stable
    assert levels["(+1/0)"].level_eV == pytest.approx(1.0)
    assert not levels["(+1/0)"].stable
    assert not levels["(0/-1)"].stable


def test_a_level_outside_the_gap_is_stable_all_the_same():
    states = [state("v_A", 1, 5.0), state("v_A", 0, 1.0)]
    (level,) = transition_levels(states, 1.5)
    assert level.level_eV == pytest.approx(-4.0)
    assert level.stable
    assert not level.in_gap


def test_common_reservoir_shift_and_order_of_input_leave_levels_alone():
    states = [state("v_A", q, e) for q, e in ((2, -0.3), (1, 0.4), (0, 0.9), (-1, 2.0))]
    shifted = [state("v_A", s.key.charge, s.energy_eV + 1.7) for s in reversed(states)]
    first, second = transition_levels(states, 1.5), transition_levels(shifted, 1.5)
    assert [x.label for x in first] == [x.label for x in second]
    assert [x.level_eV for x in first] == pytest.approx([x.level_eV for x in second])


def test_independent_uncertainties_add_in_quadrature_per_electron():
    states = [
        state("v_A", 1, 0.0, uncertainty_eV=0.03),
        state("v_A", -1, 1.0, uncertainty_eV=0.04),
    ]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(0.05 / 2)


def model_state(charge, members, rms_eV, committee="v_A"):
    """A state of the model: members' energies, and the model's error beside their spread."""
    energies = MemberEnergies(committee, members)
    bar = math.hypot(np.std(members, ddof=1), rms_eV)
    return state("v_A", charge, np.mean(members), uncertainty_eV=bar, members=energies)


def test_what_a_member_gets_wrong_in_both_states_cancels_and_the_model_error_stays():
    common = (0.1, -0.2, 0.3)
    states = [
        model_state(1, common, 0.02),
        model_state(0, tuple(1 + c for c in common), 0.02),
    ]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(math.sqrt(2) * 0.02)


def test_members_that_err_oppositely_widen_the_level():
    states = [model_state(0, (0.1, 0.0, -0.1), 0.0), model_state(-2, (0.9, 1.0, 1.1), 0.0)]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(0.2 / 2)


def test_members_of_two_committees_are_independent():
    members = (0.1, -0.2, 0.3)
    states = [model_state(1, members, 0.02), model_state(0, members, 0.02, "v_A added")]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(math.sqrt(2 * (np.var(members, ddof=1) + 4e-4)))


def test_a_model_state_beside_a_verified_one_keeps_its_whole_bar():
    states = [model_state(1, (0.1, -0.1), 0.0), state("v_A", 0, 0.5, uncertainty_eV=0.03)]
    (level,) = transition_levels(states, 1.5)
    assert level.uncertainty_eV == pytest.approx(math.hypot(np.std((0.1, -0.1), ddof=1), 0.03))


def test_two_energies_of_one_key_and_mixed_limits_are_refused():
    with pytest.raises(ThermoError, match="v_A_0 twice"):
        transition_levels([state("v_A", 0, 1.0), state("v_A", 0, 1.1)], 1.0)
    other = FormationEnergy(DefectKey("v_A", 1), "Y-rich", 0.0)
    with pytest.raises(ThermoError, match="X-rich, Y-rich"):
        transition_levels([state("v_A", 0, 1.0), other], 1.0)


# A filled level in the conduction band, or an empty one in the valence band, is suspected.


VBM_EV, CBM_EV = 5.0, 6.5


def suspicion(filled_eV: float | None, empty_eV: float | None, charge: int = -1) -> str | None:
    label = Label(-1.0, np.zeros((1, 3)), None, filled_eV, empty_eV)
    return host_state_suspicion(DefectKey("v_Sb", charge), label, VBM_EV, CBM_EV)


def test_levels_in_the_gap_are_the_defects() -> None:
    assert suspicion(5.6, 5.9) is None


@pytest.mark.parametrize("filled_eV", [6.45, 6.5, 7.0])
def test_an_electron_at_the_conduction_band_is_suspected(filled_eV: float) -> None:
    text = suspicion(filled_eV, 7.1)
    assert text is not None
    assert text.startswith("v_Sb_-1")
    assert "conduction" in text


@pytest.mark.parametrize("empty_eV", [4.8, 5.0, 5.05])
def test_a_hole_at_the_valence_band_is_suspected(empty_eV: float) -> None:
    text = suspicion(4.7, empty_eV, 1)
    assert text is not None
    assert "v_Sb_+1" in text
    assert "valence" in text


def test_an_engine_without_eigenvalues_is_not_judged() -> None:
    assert suspicion(None, None) is None


# Levels of a study whose engine failed at every minimum: the energies and bars are the committees'.


MEMBERS_EV = {0: (-30.0, -30.3), -1: (-28.0, -28.32), -2: (-26.0, -26.3)}
"""Two members, 0.3 eV apart in every charge state, and 0.02 eV more in one."""


def _reference(name: str, numbers: tuple[int, ...], energy_eV: float, cbm_eV: float | None = None) -> ReferenceLabel:
    vbm_eV = None if cbm_eV is None else 0.0
    return ReferenceLabel(name, "", numbers, energy_eV, vbm_eV, cbm_eV, "1", 0.0)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    folder = tmp_path_factory.mktemp("unverified")
    study = small_study()
    study["defects"] = [{"name": "v_Cd", "charges": ["0", "-1"], "added_charges": ["-2"]}]
    made = StudyContext.load(write_study(study, folder), folder / "results")
    prepare_host(made)
    list_sites(made)
    bulk = _reference("host", (48, 52) * 4, -36.0, 1.5)
    elements = _reference("Cd", (48,), -2.0), _reference("Te", (52,), -4.0)
    write_references(made, References(bulk, bulk, elements, ()))
    host = read_host(made)
    for group in exploration_groups(made.study):
        for key in group.keys:
            frame = defect_frame(host, site_of(made, key.defect), key.charge)
            members = MEMBERS_EV[key.charge]
            minimum = Minimum(0, frame, float(np.mean(members)), members, 0.01, 0.1, (), True)
            save_verified(
                made.layout.group(group.name).verified(str(key)),
                [VerifiedMinimum(minimum, None, frame, None, 0)],
            )
    return made


def test_a_level_of_one_committee_has_the_spread_of_the_difference(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The final committee would only follow the engine's forces, and there are none.
    monkeypatch.setattr(thermo, "load_committee", lambda *_: None)
    compute_levels(context)
    found = read_levels(context)
    assert [state.verified for state in found.ground_states] == [False] * 3
    std_eV = {charge: float(np.std(e, ddof=1)) for charge, e in MEMBERS_EV.items()}
    assert {s.key: s.uncertainty_eV for s in found.formation if s.limit == "Cd-rich"} == {
        DefectKey("v_Cd", charge): pytest.approx(std) for charge, std in std_eV.items()
    }
    bars = {level.label: level.uncertainty_eV for level in found.levels}
    assert bars["(0/-1)"] == pytest.approx(0.02 / np.sqrt(2))
    # -2 was added later and searched with a committee of its own.
    assert bars["(-1/-2)"] == pytest.approx(np.hypot(std_eV[-1], std_eV[-2]))


def test_what_a_library_warns_of_reaches_the_report(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    build = thermo.build_diagram

    def warning(*arguments: Any) -> Any:
        with quiet("doped"):
            warnings.warn("the band gaps differ", UserWarning, stacklevel=1)
        return build(*arguments)

    monkeypatch.setattr(thermo, "load_committee", lambda *_: None)
    monkeypatch.setattr(thermo, "build_diagram", warning)
    compute_levels(context)
    found = read_levels(context)
    assert "doped: the band gaps differ" in found.warnings
    for other in ("_host_states", "_jumps"):
        monkeypatch.setattr(provenance, other, lambda context: [])
    monkeypatch.setattr(provenance, "_gaps", lambda context, defects: [])
    assert "doped: the band gaps differ" in provenance.warnings(context, [], found)


def test_levels_without_warnings_stay_readable(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """As studies have them that were finished before warnings were kept."""
    monkeypatch.setattr(thermo, "load_committee", lambda *_: None)
    compute_levels(context)
    path = context.layout.energies
    content = json.loads(path.read_text())
    assert content.pop("warnings") == []
    path.write_text(json.dumps(content))
    assert read_levels(context).warnings == ()
