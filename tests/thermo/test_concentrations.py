"""Concentrations and neutrality, over parabolic bands and over a density of states from a file."""

import gzip
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy import constants

from defectscape.domain.errors import ThermoError
from defectscape.domain.keys import DefectKey
from defectscape.engines.vasp_dos import read_dos
from defectscape.files.quiet import listening
from defectscape.settings.tblite import TbliteSettings
from defectscape.settings.thermo import (
    ConcentrationsSettings,
    DensityOfStates,
    EffectiveMasses,
    NoCorrection,
)
from defectscape.settings.vasp import VaspSettings
from defectscape.thermo.bands import host_bands, parabolic_dos
from defectscape.thermo.chempots import chemical_potential_limits
from defectscape.thermo.concentrations import equilibria
from defectscape.thermo.corrections import charge_corrections
from defectscape.thermo.diagram import build_diagram
from defectscape.thermo.dos_check import check_dos
from defectscape.thermo.formation import formation_energies
from support.mistakes import mistake
from support.vasprun import ELECTRON, HOLE, Run, States, Step, vasprun_text

# Neutrality, exact limits of carriers, and error bars, against formulas written out here.


KT_EV = constants.k / constants.e
MASSES = EffectiveMasses(kind="effective_masses", electron=ELECTRON, hole=HOLE)
NO_CORRECTION = NoCorrection(kind="none")
SITES_CM3 = 4 / 6.54**3 * 1e24


def settings(annealing_K=800.0, operating_K=300.0, dopant_cm3=0.0):
    return ConcentrationsSettings(
        bands=MASSES, annealing_K=[annealing_K], operating_K=operating_K, dopant_cm3=dopant_cm3
    )


def effective_states_cm3(mass, temperature_K):
    """2 (2 pi m kT / h^2)^(3/2)."""
    thermal = 2 * math.pi * mass * constants.m_e * constants.k * temperature_K / constants.h**2
    return 2 * thermal**1.5 * 1e-6


@pytest.fixture(scope="module")
def limits(host, energies):
    return chemical_potential_limits(host.numbers, energies.bulk_energy_eV, {"Cd": -1.5, "Te": -3.2})


@pytest.fixture(scope="module")
def dos(host, energies):
    return parabolic_dos(host, energies, ELECTRON, HOLE)


@pytest.fixture
def solved(states, host, sites, energies, limits, dos):
    def solve(shift_eV=0.0, uncertainties=None, **changes):
        moved = [replace(state, energy_eV=state.energy_eV + shift_eV, degeneracy=1.0) for state in states]
        diagram = build_diagram(moved, host, sites, energies, limits, charge_corrections(moved, host, NO_CORRECTION))
        (found,) = equilibria(diagram, [limits[0].name], dos, settings(**changes), uncertainties or {})
        formation = {
            e.key: e
            for e in formation_energies(
                moved, host, energies, limits[:1], charge_corrections(moved, host, NO_CORRECTION)
            )
        }
        return found, formation, {state.key: state.frame.multiplicity for state in states}

    return solve


def test_carriers_of_parabolic_bands_follow_boltzmann_far_from_the_edges(host, energies):
    from doped.thermodynamics import get_e_h_concs

    dos = parabolic_dos(host, energies, ELECTRON, HOLE)
    for temperature_K in (300.0, 900.0):
        level = energies.vbm_eV + 0.7
        electrons, holes = get_e_h_concs(dos, level, temperature_K)
        kt = KT_EV * temperature_K
        expected = effective_states_cm3(ELECTRON, temperature_K) * math.exp(-(energies.gap_eV - 0.7) / kt)
        assert electrons == pytest.approx(expected, rel=0.02)
        expected = effective_states_cm3(HOLE, temperature_K) * math.exp(-0.7 / kt)
        assert holes == pytest.approx(expected, rel=0.02)


def test_without_charge_the_level_is_intrinsic(solved, energies):
    # 5 eV up, no defect forms that could hold a charge worth naming.
    found, _, _ = solved(shift_eV=5.0)
    kt = KT_EV * 300.0
    expected = energies.gap_eV / 2 + 0.75 * kt * math.log(HOLE / ELECTRON)
    assert found.operating_fermi_eV == pytest.approx(expected, abs=2e-3)
    assert found.electrons_cm3 == pytest.approx(found.holes_cm3, rel=1e-3)


def test_concentrations_are_boltzmann_s_at_the_level_found_and_neutral(solved):
    found, formation, multiplicity = solved()
    kt = KT_EV * found.annealing_K
    charge = 0.0
    for state in found.states:
        energy = formation[state.key].energy_eV + state.key.charge * found.annealing_fermi_eV
        expected = SITES_CM3 * multiplicity[state.key] * math.exp(-energy / kt)
        assert state.annealing_cm3 == pytest.approx(expected, rel=0.02)
        charge += state.key.charge * state.operating_cm3
    charge += found.holes_cm3 - found.electrons_cm3
    assert abs(charge) < 1e-6 * (found.holes_cm3 + found.electrons_cm3)


def test_the_frozen_defects_keep_their_number(solved):
    found, _, _ = solved()
    before = sum(state.annealing_cm3 for state in found.states)
    after = sum(state.operating_cm3 for state in found.states)
    assert after == pytest.approx(before, rel=1e-6)
    assert found.operating_fermi_eV != pytest.approx(found.annealing_fermi_eV, abs=1e-3)


def test_dopants_move_the_level(solved):
    found, _, _ = solved(shift_eV=5.0, dopant_cm3=1e16)
    assert found.electrons_cm3 == pytest.approx(1e16, rel=1e-3)
    found, _, _ = solved(shift_eV=5.0, dopant_cm3=-1e16)
    assert found.holes_cm3 == pytest.approx(1e16, rel=1e-3)


def test_error_bars_are_the_response_of_the_neutral_level(solved):
    sigma_eV = 0.004
    key = DefectKey("v_Cd", -2)
    found, _, _ = solved(uncertainties={key: sigma_eV})
    # dE_F/dE_i = -q_i c_i / (sum_j q_j^2 c_j + n + p), from neutrality
    weights = {s.key: s.key.charge**2 * s.annealing_cm3 for s in found.states}
    own = next(s for s in found.states if s.key == key)
    kt = KT_EV * found.annealing_K
    carriers = effective_states_cm3(HOLE, found.annealing_K) * math.exp(
        -found.annealing_fermi_eV / kt
    ) + effective_states_cm3(ELECTRON, found.annealing_K) * math.exp((found.annealing_fermi_eV - 1.5) / kt)
    expected = 2 * own.annealing_cm3 / (sum(weights.values()) + carriers) * sigma_eV
    assert found.annealing_fermi_std_eV == pytest.approx(expected, rel=0.08)
    none, _, _ = solved(uncertainties={key: 0.0})
    assert none.annealing_fermi_std_eV == 0.0
    assert all(state.operating_std_log10 == 0.0 for state in none.states)


def test_bars_of_independent_states_add_in_squares(solved, states):
    alone = [solved(uncertainties={s.key: 0.01})[0].operating_fermi_std_eV for s in states]
    together = solved(uncertainties={s.key: 0.01 for s in states})[0].operating_fermi_std_eV
    assert together == pytest.approx(float(np.linalg.norm(alone)), rel=1e-6)


def test_annealing_below_the_temperature_of_use_is_refused():
    with pytest.raises(ValueError, match="annealing_K: 200 K is below operating_K"):
        settings(annealing_K=200.0)


def test_bands_that_are_not_the_diagram_s_are_warned_of(states, host, sites, energies, limits):
    """doped says it; here it is heard, once."""
    corrections = charge_corrections(states, host, NO_CORRECTION)
    diagram = build_diagram(states, host, sites, energies, limits, corrections)
    other = parabolic_dos(host, replace(energies, gap_eV=energies.gap_eV + 0.2), ELECTRON, HOLE)
    with listening() as heard:
        equilibria(diagram, [limits[0].name], other, settings(), {})
    assert len([line for line in heard if "band gap" in line and "differs by >0.05 eV" in line]) == 1


# A density of states from a file: placed on the engine's edges, or refused with what is wrong.


SIDE_A = 6.54
BASE = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
ZINCBLENDE = np.vstack([BASE, BASE + 0.25])
ROCKSALT = np.vstack([BASE, BASE + 0.5])
FCC = SIDE_A / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
CDTE = ["Cd"] * 4 + ["Te"] * 4
TETRAHEDRA = {"ISMEAR": "-5"}
TBLITE = TbliteSettings(kind="tblite", method="GFN1-xTB")
STATES = States(vbm_eV=2.3, cbm_eV=3.8)


def vasp(**changes):
    given_ = {
        "kind": "vasp",
        "functional": "pbe",
        "potcar_dir": Path("nowhere"),
        "potcars": {"Cd": "Cd", "Te": "Te"},
        "potcar_titles": {},
        "cutoff_eV": 400.0,
        "kpoints": [1, 1, 1],
        "command": "vasp",
    }
    return VaspSettings(**given_ | changes)


def run(states=STATES, cell_A=None, symbols=CDTE, places=ZINCBLENDE, **changes):
    cell_A = np.eye(3) * SIDE_A if cell_A is None else cell_A
    return Run(symbols, [Step(cell_A, places)], states=states, **{"written": TETRAHEDRA} | changes)


def dos_settings(file=Path("vasprun.xml"), operating_K=300.0):
    bands = DensityOfStates(kind="vasprun", file=file)
    return ConcentrationsSettings(bands=bands, annealing_K=[800.0], operating_K=operating_K)


def bands_of(host, energies, given_run, engine=TBLITE):
    """The bands of a written file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vasprun.xml"
        path.write_text(vasprun_text(given_run), encoding="latin-1")
        return host_bands(host, energies, dos_settings(path), engine)


@pytest.fixture(scope="module")
def solve(states, host, sites, energies):
    """From a ``FermiDos`` to the balance in the first limit."""
    limits = chemical_potential_limits(host.numbers, energies.bulk_energy_eV, {"Cd": -1.5, "Te": -3.2})
    known = [replace(state, degeneracy=1.0) for state in states]
    corrections = charge_corrections(known, host, NoCorrection(kind="none"))
    diagram = build_diagram(known, host, sites, energies, limits, corrections)

    def solved(dos):
        (found,) = equilibria(diagram, [limits[0].name], dos, dos_settings(), {})
        return found

    return solved


@pytest.fixture(scope="module")
def unshifted(host, energies, solve):
    return solve(bands_of(host, energies, run(replace(STATES, decimals=10))).fermi_dos)


@given(shift_eV=st.floats(-40.0, 40.0))
@examples(max_examples=8, deadline=None)
def test_the_energy_zero_of_the_file_changes_nothing(host, energies, solve, unshifted, shift_eV):
    moved = States(vbm_eV=2.3 + shift_eV, cbm_eV=3.8 + shift_eV, decimals=10)
    found = solve(bands_of(host, energies, run(moved)).fermi_dos)
    assert found.operating_fermi_eV == pytest.approx(unshifted.operating_fermi_eV, abs=1e-6)
    assert found.annealing_fermi_eV == pytest.approx(unshifted.annealing_fermi_eV, abs=1e-6)
    for mine, theirs in zip(found.states, unshifted.states, strict=True):
        # 1e-6 eV is 4e-5 of a concentration at 300 K.
        assert mine.operating_cm3 == pytest.approx(theirs.operating_cm3, rel=1e-4)
    assert found.holes_cm3 == pytest.approx(unshifted.holes_cm3, rel=1e-4)


def test_an_energy_zero_elsewhere_is_said(host, energies, solve, unshifted):
    bands = bands_of(host, energies, run(States(vbm_eV=-5.7, cbm_eV=-4.2, decimals=10)))
    found = solve(bands.fermi_dos)
    assert found.operating_fermi_eV == pytest.approx(unshifted.operating_fermi_eV, abs=1e-6)
    assert found.annealing_fermi_eV == pytest.approx(unshifted.annealing_fermi_eV, abs=1e-6)
    mistake(
        "engines",
        "density of states whose zero of energy is elsewhere, by any amount",
        said=bands.remarks[0],
        when="run (in the report)",
        right="the same Fermi level to 1e-6 eV",
    )


@pytest.mark.parametrize("vbm_eV", [-5.7, 2.3, 2.8])
def test_the_balance_is_that_of_the_same_bands_on_the_engine_s_edges(host, energies, solve, vbm_eV):
    expected = solve(parabolic_dos(host, energies, ELECTRON, HOLE))
    bands = bands_of(host, energies, run(States(vbm_eV=vbm_eV, cbm_eV=vbm_eV + 1.5, step_eV=0.002)))
    found = solve(bands.fermi_dos)
    assert found.operating_fermi_eV == pytest.approx(expected.operating_fermi_eV, abs=3e-3)
    assert found.holes_cm3 == pytest.approx(expected.holes_cm3, rel=0.1)
    assert f"shifted by {2.3 - vbm_eV:+.3f} eV" in bands.remarks[0]


@pytest.mark.parametrize("off_eV", [-0.09, 0.08])
def test_a_gap_that_is_a_little_off_becomes_the_study_s(host, energies, off_eV):
    from doped.thermodynamics import get_e_h_concs

    bands = bands_of(host, energies, run(States(vbm_eV=1.0, cbm_eV=2.5 + off_eV, step_eV=0.002)))
    level_eV = energies.vbm_eV + energies.gap_eV - 0.4
    found, _ = get_e_h_concs(bands.fermi_dos, level_eV, 300.0)
    expected, _ = get_e_h_concs(parabolic_dos(host, energies, ELECTRON, HOLE), level_eV, 300.0)
    assert found == pytest.approx(expected, rel=0.1)
    assert f"moved by {-off_eV:+.3f} eV" in bands.remarks[0]


def test_a_gap_that_is_off_is_said(host, energies):
    bands = bands_of(host, energies, run(States(vbm_eV=2.3, cbm_eV=3.71)))
    # The states' own gap, on a grid of 0.01 eV.
    assert bands.fermi_dos.get_gap(tol=1e-4, abs_tol=True) == pytest.approx(energies.gap_eV, abs=0.02)
    mistake(
        "engines",
        "density of states whose gap is off by up to 0.1 eV",
        said=bands.remarks[0],
        when="run (in the report)",
        right=f"the engine's gap, {energies.gap_eV:.3f} eV",
    )
    with pytest.raises(ThermoError, match=r"gap of 1\.390 eV") as caught:
        bands_of(host, energies, run(States(vbm_eV=2.3, cbm_eV=3.69)))
    mistake("engines", "density of states whose gap is off by more than 0.1 eV", said=caught.value, when="run")


def test_a_cell_may_be_the_primitive_one(host, energies, solve, unshifted):
    primitive = run(cell_A=FCC, symbols=["Cd", "Te"], places=np.array([[0, 0, 0], [0.25, 0.25, 0.25]]))
    found = solve(bands_of(host, energies, primitive).fermi_dos)
    assert found.operating_fermi_eV == pytest.approx(unshifted.operating_fermi_eV, abs=1e-3)


def test_a_light_band_on_a_coarse_mesh_may_begin_late(host, energies):
    """Tetrahedra of an 8 x 8 x 8 mesh give GaAs its first states 0.1 eV above the CBM."""
    placed = bands_of(host, energies, run(replace(STATES, late_eV=0.12)))
    assert placed.fermi_dos is not None
    with pytest.raises(ThermoError, match=r"ends at 2\.290 and 4\.2"):
        bands_of(host, energies, run(replace(STATES, late_eV=0.4)))


HSE = {"LHFCALC": "T", "AEXX": "0.25", "HFSCREEN": "0.208"}
REFUSED = {
    "composition": (partial(run, symbols=["Zn"] * 4 + ["Te"] * 4), r"is of ZnTe, the study's host is CdTe"),
    "volume": (partial(run, cell_A=np.eye(3) * 6.60), r"35\.937 A\^3 per atom.*34\.966 .*\+2\.8%.*unitcell"),
    "crystal": (partial(run, places=ROCKSALT), r"another crystal structure.*F-?m-3m|Fm-3m, F-43m"),
    "strain": (partial(run, cell_A=SIDE_A * np.diag([1.03, 1.03, 1.03**-2])), r"another crystal structure"),
    "gap": (partial(run, States(vbm_eV=2.3, cbm_eV=3.5)), r"gap of 1\.200 eV.*1\.500 eV.*0\.1 eV"),
    "wider": (partial(run, States(vbm_eV=2.3, cbm_eV=4.99)), r"gap of 2\.690 eV"),
    "metal": (partial(run, States(vbm_eV=2.3, cbm_eV=2.3)), r"metallic.*2\.300 eV.*2\.300 eV"),
    "no states": (partial(run, replace(STATES, has_dos=False)), r"has no density of states.*ISMEAR = -5"),
    "cut window": (partial(run, replace(STATES, missing=0.3)), r"50\.\d+ electrons.*NELECT is 72.*EMIN"),
    "other edges": (partial(run, replace(STATES, dos_shift_eV=0.3)), r"ends at 2\.590 and 4\.1.*eigenvalues at 2\.300"),
    "charge": (partial(run, charge=2.0), r"charge \+2\.00.*neutral"),
    "moment": (partial(run, moment=2.0), r"moment of 2\.00 Bohr"),
    "spin-orbit": (partial(run, written=TETRAHEDRA | {"LSORBIT": "T"}), r"spin-orbit coupling \(LSORBIT\)"),
    "other physics": (partial(run, written=TETRAHEDRA | {"EFIELD": "0.1"}), r"computed with EFIELD = 0\.1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_placed_is_refused(host, energies, name):
    made, told = REFUSED[name]
    with pytest.raises(
        ThermoError, match=rf"thermo\.concentrations\.bands\.file: .*vasprun\.xml.*(?:{told})"
    ) as caught:
        bands_of(host, energies, made())
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("engine", "written", "told"),
    [
        ({}, HSE, r"AEXX = 0\.25, the study's is none; HFSCREEN = 0\.208, the study's is none"),
        ({"functional": "hse06"}, {}, r"AEXX = none, the study's is 0\.25"),
        ({"functional": "hse06"}, HSE | {"HFSCREEN": "0.3"}, r"functional: HFSCREEN = 0\.3, the study's is 0\.208\."),
        ({"functional": "hse06", "exx_fraction": 0.345}, HSE, r"functional: AEXX = 0\.25, the study's is 0\.345\."),
        ({"functional": "pbesol"}, {}, r"functional: GGA = PE, the study's is PS\."),
        ({}, {"METAGGA": "R2SCAN"}, r"functional: METAGGA = R2SCAN, the study's is none\."),
        ({}, {"LDAU": "T", "LDAUU": "4.0", "LDAUL": "2"}, r"functional: LDAU = .*4\.0.*, the study's is none\."),
    ],
)
def test_another_functional_is_refused_where_the_engine_is_vasp(host, energies, engine, written, told):
    made = run(written=TETRAHEDRA | written)
    with pytest.raises(ThermoError, match=told):
        bands_of(host, energies, made, vasp(**engine))
    # Another program's functional is not known here: said, not refused.
    assert any("functional" in line and "not compared" in line for line in bands_of(host, energies, made).remarks)


@pytest.mark.parametrize(("engine", "written"), [({}, {}), ({"functional": "hse06"}, HSE), ({}, {"ICHARG": "11"})])
def test_the_study_s_functional_is_accepted(host, energies, engine, written):
    found = bands_of(host, energies, run(written=TETRAHEDRA | written), vasp(**engine))
    assert len(found.remarks) == 1
    assert "+0.000 eV" in found.remarks[0]


def test_a_crystal_still_to_be_relaxed_is_compared_by_composition(host, tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(vasprun_text(run(cell_A=np.eye(3) * 6.60)), encoding="latin-1")
    check_dos(read_dos(path), host, TBLITE, relaxed=False)
    with pytest.raises(ThermoError, match="per atom"):
        check_dos(read_dos(path), host, TBLITE, relaxed=True)


def test_broadened_edges_and_coarse_grids_are_said(host, energies):
    made = run(replace(STATES, step_eV=0.04), written={"ISMEAR": "0", "SIGMA": "0.05"})
    text = " ".join(bands_of(host, energies, made).remarks)
    assert "up to 2.55 times too many carriers at 300 K" in text
    assert "0.040 eV apart, more than kT at 300 K, 0.026 eV" in text


def test_gaussian_smearing_is_said(host, energies, solve):
    from doped.thermodynamics import get_e_h_concs

    sharp = bands_of(host, energies, run(replace(STATES, step_eV=0.002)))
    smeared = replace(STATES, step_eV=0.002, width_eV=0.05)
    broad = bands_of(host, energies, run(smeared, written={"ISMEAR": "0", "SIGMA": "0.05"}))
    level_eV = energies.vbm_eV + energies.gap_eV / 2
    more = np.divide(*(get_e_h_concs(bands.fermi_dos, level_eV, 300.0) for bands in (broad, sharp)))
    assert more == pytest.approx(2.55, rel=0.02)
    with listening() as heard:
        solve(broad.fermi_dos)
    (warning,) = heard
    mistake(
        "engines",
        "density of states with Gaussian smearing",
        said=(broad.remarks[-1], warning),
        when="run (in the report)",
    )


def test_a_gaussian_edge_raises_carriers_by_the_factor_that_is_said():
    energies_eV = np.linspace(-3.0, 3.0, 6001)
    width_eV, thermal_eV = 0.05, 300 * 8.617333e-5
    edge = np.sqrt(np.clip(energies_eV, 0, None))
    blurred = np.convolve(edge, np.exp(-((energies_eV / width_eV) ** 2)), "same") * 1e-3 / np.sqrt(np.pi) / width_eV
    inner = np.abs(energies_eV) < 2
    sharp, broad = (np.sum((states * np.exp(-energies_eV / thermal_eV))[inner]) for states in (edge, blurred))
    assert broad / sharp == pytest.approx(np.exp((width_eV / thermal_eV) ** 2 / 4), rel=0.01)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<modeling></modeling>", "cannot be read|cut short"),
        (b"", "is empty, or no vasprun.xml"),
        (b"<html></html>", "is empty, or no vasprun.xml"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path, content, told):
    path = tmp_path / "vasprun.xml"
    path.write_bytes(content)
    with pytest.raises(ThermoError, match=rf"vasprun\.xml.*({told})"):
        read_dos(path)


@pytest.mark.parametrize("kept", np.linspace(0, 1, 21))
def test_a_file_that_ends_anywhere_is_cut_short(tmp_path, kept):
    text = vasprun_text(run())
    begin, end = text.index("<modeling>") + len("<modeling>"), text.rindex("</modeling>")
    path = tmp_path / "vasprun.xml"
    path.write_text(text[: round(begin + kept * (end - begin))], "latin-1")
    with pytest.raises(ThermoError, match=r"vasprun\.xml is cut short"):
        read_dos(path)


def test_a_number_that_overflowed_is_no_state(tmp_path):
    path = tmp_path / "vasprun.xml"
    head, mark, rest = vasprun_text(run()).partition("<total>")
    first = rest.index("<r>")
    row = rest[first : rest.index("</r>", first)]
    path.write_text(head + mark + rest.replace(row, f"<r> {row.split()[1]} ********** 0.0 ", 1))
    with pytest.raises(ThermoError, match="overflowed"):
        read_dos(path)


def test_packed_files_are_read(tmp_path):
    path = tmp_path / "vasprun.xml.relax2"
    path.write_bytes(gzip.compress(vasprun_text(run()).encode("latin-1")))
    dos = read_dos(path)
    assert (dos.vbm_eV, dos.cbm_eV, dos.electrons, dos.charge) == pytest.approx((2.3, 3.8, 72.0, 0.0))
