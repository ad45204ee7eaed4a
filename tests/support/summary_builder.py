"""A realistic summary for the report's tests: every number is invented, marked as test data.

Two defects in three charge states each, or six for the layout. Formation energies, transition levels and curves
agree with each other as they do in a real study: levels are crossings of the lines, curves are parabolas.
"""

import json
import math

import numpy as np

from defectscape.summary.schema import (
    BindingSummary,
    CalibrationRow,
    CaptureSummary,
    CaptureTemperature,
    CcdSummary,
    CostRow,
    CurvePoint,
    DefectSummary,
    EquilibriumRow,
    ErrorSummary,
    FarAtomsRow,
    FidelityDifferenceRow,
    FoundStructure,
    GateRow,
    HostSummary,
    HostTest,
    JobRow,
    LevelOfTheory,
    LevelSummary,
    LevelTestRow,
    MinimumSummary,
    Overhead,
    ParityData,
    PriorSummary,
    PriorTerm,
    Provenance,
    SearchPoint,
    SpinRow,
    StartsTriedRow,
    StateConcentrationRow,
    Summary,
    TrainingCurve,
)

GAP_EV = 1.523
LIMIT_SHIFT_EV = {"v_Cd": 0.94, "Te_Cd": 1.88}
VBM_ENERGIES_EV = {
    "v_Cd": {0: 1.312, -1: 1.671, -2: 2.484},
    "Te_Cd": {2: 1.214, 1: 1.847, 0: 2.263},
}
GAINS_EV = {
    "v_Cd": {0: 0.4127, -1: 0.0031, -2: 0.0},
    "Te_Cd": {2: 0.0, 1: 0.0864, 0: None},
}
MODEL_ERRORS_EV = {
    "v_Cd": {0: 0.0123, -1: -0.0048, -2: 0.0027},
    "Te_Cd": {2: None, 1: 0.0191, 0: -0.0076},
}
STARTS = (
    "unperturbed",
    "bond distortion -60% of 2 neighbours",
    "bond distortion -40% of 2 neighbours",
    "bond distortion -20% of 2 neighbours",
    "bond distortion +40% of 2 neighbours",
    "dimer of Te neighbours",
    "local rattle 0.25 A, seed 1",
    "cross seed from charge -1, minimum 0",
)
REASON = "stopped: atoms 4 and 17 came closer than 1.2 A"


def signed(charge: int) -> str:
    """Charge as it is written in keys."""
    return f"{charge:+d}" if charge else "0"


def make_summary() -> Summary:
    """The test summary; the same object on every call."""
    rng = np.random.default_rng(7)
    return Summary(
        version=1,
        study="cdte-test-data",
        low=_theory("gfn1", "GFN1-xTB"),
        high=_theory("ipea1", "IPEA1-xTB"),
        host=HostSummary(
            formula="CdTe",
            spacegroup="F-43m",
            lattice_A=[6.482, 6.482, 6.482],
            atoms=64,
            min_image_distance_A=12.964,
            energy_eV=-3214.5678,
            vbm_eV=-7.891,
            gap_eV=GAP_EV,
            relaxed="volume",
        ),
        chemical_potentials_eV={
            "Cd-rich": {"Cd": 0.0, "Te": -0.94},
            "Te-rich": {"Cd": -0.94, "Te": 0.0},
        },
        defects=[_defect(name, q) for name, row in VBM_ENERGIES_EV.items() for q in row],
        levels=_levels(),
        binding=_binding(),
        spins=[
            SpinRow(
                key="v_Cd_0",
                defect="v_Cd",
                charge=0,
                reason="two or more electrons or holes",
                multiplicity=1,
                other_multiplicity=3,
                difference_eV=0.2134,
                lower=False,
                failure="",
                levels=["(0/-1)"],
            )
        ],
        errors=_errors(),
        parity=_parity(rng),
        level_gaps=[
            FidelityDifferenceRow(
                key=f"{defect}_{signed(charge)}",
                frames=12,
                shift_eV=-34.2,
                spread_meV_atom=1.9,
                low_spread_meV_atom=14.0,
                force_rms_meV_A=88.0,
                force_meV_A=610.0,
            )
            for defect, states in VBM_ENERGIES_EV.items()
            for charge in states
        ],
        search=_search(rng),
        capture=[
            CaptureSummary(
                defect="v_Cd",
                initial_charge=-1,
                final_charge=-2,
                carrier="electron",
                released_eV=0.412,
                released_std_eV=0.034,
                coupling_eV_amu05_A=0.021,
                temperatures=[
                    CaptureTemperature(
                        temperature_K=300.0,
                        coefficient_cm3_s=3.4e-9,
                        low_cm3_s=1.2e-9,
                        high_cm3_s=8.8e-9,
                        coulomb_factor=0.071,
                    )
                ],
                reason="",
            )
        ],
        ccd=[_ccd("v_Cd", 0, -1), _ccd("v_Cd", -1, -2), _ccd("Te_Cd", 1, 0)],
        cost=[
            CostRow(stage="host", fidelity="ipea1", labels=12, failed=0, core_s=64.2),
            CostRow(stage="pool", fidelity="gfn1", labels=1480, failed=9, core_s=3720.5),
            CostRow(stage="selection", fidelity="ipea1", labels=186, failed=2, core_s=1013.4),
            CostRow(stage="verification", fidelity="ipea1", labels=74, failed=0, core_s=402.9),
        ],
        jobs=[
            JobRow(rule="label_low", kind="engine", jobs=16, wall_s=1911.2, cpu_s=3741.0),
            JobRow(rule="train", kind="training", jobs=8, wall_s=2240.8, cpu_s=4210.3),
            JobRow(rule="label_high", kind="engine", jobs=12, wall_s=745.6, cpu_s=1450.1),
            JobRow(rule="search", kind="relaxation", jobs=6, wall_s=602.4, cpu_s=1180.7),
            JobRow(rule="verify", kind="engine", jobs=6, wall_s=215.3, cpu_s=410.2),
            JobRow(rule="report", kind="other", jobs=1, wall_s=9.1, cpu_s=8.8),
        ],
        equilibria=[
            _equilibrium(limit, kelvin) for limit in ("Cd-rich", "Te-rich") for kelvin in (600.0, 800.0, 1000.0)
        ],
        overhead=Overhead(
            engine_s=2800.0,
            training_s=2240.8,
            relaxation_s=602.4,
            other_s=81.2,
            labels=52,
            share_percent=1.42,
            share_of_minutes_percent=1.34,
        ),
        training=[_curve(f"{group}/{member}", member) for group in GROUPS for member in range(3)],
        calibration=[
            _calibration("ipea1", "force", 2.1),
            _calibration("ipea1", "within", 1.7),
            _calibration("gfn1", "between", None),
        ],
        level_tests=[
            LevelTestRow(defect="v_Cd", upper_charge=0, lower_charge=-1, model_error_eV=-0.021, bar_eV=0.034),
            LevelTestRow(defect="Te_Cd", upper_charge=1, lower_charge=0, model_error_eV=0.050, bar_eV=None),
        ],
        gates=[
            GateRow(
                model="final",
                gate="energy changes with the charge",
                value=1.234,
                unit="eV",
                limit="> 0.001",
            ),
            GateRow(
                model="final",
                gate="batched and single energies agree",
                value=3.1e-9,
                unit="eV",
                limit="< 1e-6",
            ),
        ],
        warnings=[
            "Te_Cd_+2 is not verified: the engine's calculation failed.",
            "No finite-size alignment: point-charge correction only.",
        ],
        model_files=["models/final_0.model", "models/final_1.model", "models/final_2.model"],
        provenance=Provenance(
            defectscape="0.1.0",
            packages={"mace-torch": "0.3.16", "doped": "3.2.1", "ase": "3.29.0"},
            config="study: cdte-test-data\nseed: 20\nhost:\n  structure: CdTe.vasp\n",
            config_sha256="9f" * 32,
            seed=20,
            finished="2026-03-07T11:22:33+00:00",
        ),
    )


GROUPS = ("v_Cd/round_0", "v_Cd/round_1", "final")


def _theory(name: str, method: str) -> LevelOfTheory:
    settings = json.dumps({"accuracy": 1.0, "electronic_temperature_K": 300.0, "method": method})
    return LevelOfTheory(name=name, engine="tblite", method=method, settings=settings, engine_versions=["0.4.0"])


def _geometry(name: str, charge: int, rank: int) -> str:
    return f"minima/{name}_{signed(charge)}/{rank}.vasp"


def _defect(name: str, charge: int) -> DefectSummary:
    error = MODEL_ERRORS_EV[name][charge]
    verified = error is not None
    at_vbm = VBM_ENERGIES_EV[name][charge]
    energy = -3100.0 + at_vbm
    gain = GAINS_EV[name][charge]
    minima = [_minimum(name, charge, rank, verified and rank < 2, error) for rank in range(3)]
    return DefectSummary(
        key=f"{name}_{signed(charge)}",
        defect=name,
        charge=charge,
        multiplicity=1 + charge % 2,
        ground_state_rank=0,
        verified=verified,
        energy_eV=energy,
        uncertainty_eV=0.012 if verified else 0.047,
        uncertainty_origin="force left at the geometry" if verified else "committee and held-out error",
        formation_energy_eV={"Cd-rich": at_vbm + LIMIT_SHIFT_EV[name], "Te-rich": at_vbm},
        correction_eV=0.081 * charge**2,
        correction_label="point charge, no potential alignment",
        verified_energy_eV=energy if verified else None,
        model_error_eV=error,
        gain_over_unperturbed_eV=gain,
        gain_verified=verified and gain is not None,
        found=_found(name, charge),
        point_group=minima[0].point_group,
        distortion=minima[0].distortion,
        geometry_file=minima[0].geometry_file,
        distinct_minima=3,
        relaxations=len(STARTS),
        relaxations_failed=1,
        failure_reasons={REASON: 1},
        minima=minima,
    )


def _found(name: str, charge: int) -> FoundStructure:
    """The two upper charge states of the vacancy share a dimer."""
    if name == "v_Cd" and charge > -2:
        other = "v_Cd_-1" if charge == 0 else "v_Cd_0"
        sentence = "The site of Cd is empty. Bonds that the host lacks: Te dimer (2.83 A)."
        return FoundStructure(name="Te dimer (2.83 A)", sentence=sentence, plain=False, same_as=[other])
    return FoundStructure(name=name, sentence="The other atoms are within 0.12 A of their sites.", plain=True)


def _calibration(fidelity: str, quantity: str, factor: float | None) -> CalibrationRow:
    there = factor is not None
    return CalibrationRow(
        fidelity=fidelity,
        quantity=quantity,
        members=3,
        frames=24 if there else 4,
        families=2,
        typical_spread=0.012,
        factor68=factor,
        factor68_std=0.2 if there else None,
        factor95=2.2 * factor if factor is not None else None,
        test_frames=20,
        coverage68_before=0.36 if there else None,
        coverage95_before=0.61 if there else None,
        coverage68_after=0.7 if there else None,
        coverage95_after=0.93 if there else None,
        rank_correlation=0.8 if there else None,
        reason="" if there else "4 validation frames, 6 are needed",
    )


def _minimum(name: str, charge: int, rank: int, verified: bool, error: float | None) -> MinimumSummary:
    return MinimumSummary(
        rank=rank,
        energy_above_lowest_eV=0.187 * rank,
        committee_std_eV=0.006 * rank,
        committee_bar_eV=0.013 if rank else None,
        verified_above_lowest_eV=0.193 * rank if verified else None,
        verified_energy_eV=-3100.0 + VBM_ENERGIES_EV[name][charge] + 0.193 * rank if verified else None,
        model_error_eV=error - 0.004 * rank if verified and error is not None else None,
        engine_fmax_eV_A=0.031 + 0.008 * rank if verified else None,
        relax_steps=2 if verified else 0,
        point_group=("C2v", "Td", "Cs")[rank],
        distortion=("Te-Te dimer, 2.83 A", "no distortion", "one neighbour off by 0.41 A")[rank],
        found_from=[STARTS[1], STARTS[5]] if rank == 0 else [STARTS[rank - 1]],
        from_unperturbed=rank == 1,
        geometry_file=_geometry(name, charge, rank),
    )


def _levels() -> list[LevelSummary]:
    off = LevelSummary(
        defect="Te_Cd",
        upper_charge=0,
        lower_charge=-1,
        level_eV=1.678,
        uncertainty_eV=0.021,
        stable=True,
        in_gap=False,
    )
    return [*_crossings(VBM_ENERGIES_EV), off]


def _crossings(defects: dict[str, dict[int, float]]) -> list[LevelSummary]:
    levels: list[LevelSummary] = []
    for name, energies in defects.items():
        charges = sorted(energies, reverse=True)
        for upper in charges:
            for lower in (q for q in charges if q < upper):
                level = (energies[lower] - energies[upper]) / (upper - lower)
                stable = abs(min(e + q * level for q, e in energies.items()) - (energies[upper] + upper * level)) < 1e-9
                levels.append(
                    LevelSummary(
                        defect=name,
                        upper_charge=upper,
                        lower_charge=lower,
                        level_eV=level,
                        uncertainty_eV=math.hypot(0.012, 0.012) / (upper - lower),
                        stable=stable,
                        in_gap=0 <= level <= GAP_EV,
                    )
                )
    return levels


def _binding() -> list[BindingSummary]:
    row = BindingSummary(
        defect="v_Cd+Cl_Te",
        charge=-1,
        distance_A=2.866,
        orientations=4,
        multiplicity=4,
        energy_eV=-0.712,
        uncertainty_eV=0.021,
        partners=["v_Cd_-2", "Cl_Te_+1"],
        verified=True,
        reason="",
    )
    reason = "the study has no energy of Cl_Te"
    none = {"energy_eV": None, "uncertainty_eV": None, "partners": [], "verified": False, "reason": reason}
    return [row, row.model_copy(update={"charge": 0, **none})]


def _errors() -> list[ErrorSummary]:
    rows = [("ipea1", "all", None, 40), ("gfn1", "all", None, 240)]
    rows += [("ipea1", name, q, 7) for name, charges in VBM_ENERGIES_EV.items() for q in charges]
    return [
        ErrorSummary(
            fidelity=fidelity,
            defect=defect,
            charge=charge,
            frames=frames,
            energy_mae_meV_atom=0.61 + 0.01 * i,
            energy_rmse_meV_atom=0.83 + 0.01 * i,
            energy_rmse_shifted_meV_atom=0.47 + 0.01 * i,
            force_mae_meV_A=14.2 + 0.3 * i,
            force_rmse_meV_A=21.7 + 0.3 * i,
        )
        for i, (fidelity, defect, charge, frames) in enumerate(rows)
    ]


def _parity(rng: np.random.Generator) -> list[ParityData]:
    found = []
    for fidelity in ("gfn1", "ipea1"):
        for name, charges in VBM_ENERGIES_EV.items():
            for charge in charges:
                energy = rng.normal(0, 12, 9)
                force = rng.normal(0, 0.8, 80)
                found.append(
                    ParityData(
                        fidelity=fidelity,
                        key=f"{name}_{signed(charge)}",
                        energy_reference_meV_atom=energy.tolist(),
                        energy_model_meV_atom=(energy + rng.normal(0, 0.8, 9)).tolist(),
                        force_reference_eV_A=force.tolist(),
                        force_model_eV_A=(force + rng.normal(0, 0.03, 80)).tolist(),
                    )
                )
    return found


def _search(rng: np.random.Generator) -> list[SearchPoint]:
    points = []
    for name, charges in VBM_ENERGIES_EV.items():
        for charge in charges:
            for i, start in enumerate(STARTS):
                failed = i == 6
                energy = 0.0 if i in (1, 5) else 0.187 * int(rng.integers(1, 4))
                points.append(
                    SearchPoint(
                        key=f"{name}_{signed(charge)}",
                        start=start,
                        energy_above_lowest_eV=-214.0 if failed else energy,
                        converged=not failed,
                        reason=REASON if failed else "converged",
                    )
                )
    return points


def _ccd(name: str, initial: int, final: int) -> CcdSummary:
    distance, phonon = 9.4, 0.0113
    # A parabola E = (omega Q)^2 / 2, with omega from the relaxation energy S hbar omega.
    relaxation = 0.421
    curvature = 2 * relaxation / distance**2
    coordinate = np.linspace(-0.4, 1.4, 9) * distance
    energies = VBM_ENERGIES_EV[name]
    return CcdSummary(
        defect=name,
        initial_charge=initial,
        final_charge=final,
        dQ_amu05_A=distance,
        Q_amu05_A=coordinate.tolist(),
        initial_eV=(0.5 * curvature * coordinate**2).tolist(),
        final_eV=(0.45 * curvature * (coordinate - distance) ** 2).tolist(),
        initial_std_eV=[0.004 + 0.002 * abs(i - 2) for i in range(9)],
        final_std_eV=[0.004 + 0.002 * abs(i - 7) for i in range(9)],
        level_eV=(energies[final] - energies[initial]) / (initial - final),
        relaxation_initial_eV=relaxation,
        relaxation_final_eV=0.379,
        phonon_initial_eV=phonon,
        phonon_final_eV=None,
        huang_rhys_initial=relaxation / phonon,
        huang_rhys_final=None,
        harmonic_initial=True,
        harmonic_final=False,
        source="final committee, ipea1 head",
    )


def _curve(model: str, member: int) -> TrainingCurve:
    steps = range(0, 1001, 50)
    return TrainingCurve(
        model=model,
        stop_reason="no better validation for 200 steps" if member else "step limit",
        best_step=950,
        train_frames={"gfn1": 1180, "ipea1": 140},
        valid_frames={"gfn1": 60, "ipea1": 20},
        points=[
            CurvePoint(
                step=step,
                loss=2.0 / (1 + step / 40),
                energy_rmse_meV_atom={
                    "gfn1": 0.4 + 9 / (1 + step / 30) + 0.05 * member,
                    "ipea1": 0.6 + 14 / (1 + step / 40) + 0.05 * member,
                },
                force_rmse_meV_A={
                    "gfn1": 15 + 300 / (1 + step / 30) + member,
                    "ipea1": 20 + 420 / (1 + step / 35) + member,
                },
            )
            for step in steps
        ],
    )


def make_geometries() -> dict[str, str]:
    """Geometry texts of the ground states of v_Cd only: the others are named but not carried."""
    return {
        _geometry("v_Cd", charge, 0): f"v_Cd {signed(charge)} (test data)\n1.0\n" for charge in VBM_ENERGIES_EV["v_Cd"]
    }


def _equilibrium(limit: str, kelvin: float) -> EquilibriumRow:
    """Boltzmann factors of the formation energies at a Fermi level of 0.6 eV."""
    rows = []
    for name, energies in VBM_ENERGIES_EV.items():
        for charge, energy in energies.items():
            at = energy + 0.6 * charge + (LIMIT_SHIFT_EV[name] if limit == "Cd-rich" else 0.0)
            value = 1.5e22 * math.exp(-at / (8.617e-5 * kelvin))
            rows.append(
                StateConcentrationRow(
                    defect=name,
                    charge=charge,
                    annealing_cm3=value,
                    operating_cm3=0.8 * value,
                    operating_std_log10=0.11,
                )
            )
    return EquilibriumRow(
        limit=limit,
        annealing_K=kelvin,
        operating_K=300.0,
        annealing_fermi_eV=0.6,
        annealing_fermi_std_eV=0.012,
        operating_fermi_eV=0.52,
        operating_fermi_std_eV=0.015,
        electrons_cm3=2.1e3,
        holes_cm3=4.0e10 * kelvin,
        states=rows,
    )


def over_prior(summary: Summary) -> Summary:
    """The summary with a prior under the model that failed for two frames."""
    term = PriorTerm(engine="tblite", method="IPEA1-xTB", settings="{}", sign=1, neutral=False)
    prior = PriorSummary(
        text="IPEA1-xTB (tblite) in the charge of each state",
        terms=[term],
        store="labels/priors",
        frames=120,
        failed=2,
        failures={"SCF did not converge <here>": 2},
        calls=124,
        core_s=61.5,
    )
    row = CostRow(stage="labelled frames", fidelity="the prior", labels=118, failed=2, core_s=61.5)
    return summary.model_copy(update={"prior": prior, "cost": [*summary.cost, row]})


LARGE_EV = {
    "v_Cd": {0: 1.312, -1: 1.671, -2: 2.484},
    "v_Te": {2: 0.912, 1: 1.688, 0: 2.016},
    "Cd_Te": {2: 1.402, 1: 1.951, 0: 3.118},
    "Te_Cd": {2: 1.214, 1: 1.847, 0: 2.263},
    "i_Cd_1": {2: 0.488, 1: 1.207, 0: 2.369},
    "i_Te_1": {1: 2.231, 0: 2.604, -1: 3.517},
}
"""Eighteen states: the intrinsic defects of CdTe, energies at the valence band maximum, eV."""

LARGE_DISTORTIONS = (
    "Te-Te dimer 2.83 A, breathing outward 15%",
    "Jahn-Teller-like, Td to C1, distorted, largest displacement 0.13 A",
    "split with Te 1.21 A from its site, new Te-Te bond 2.79/2.91 A, breathing inward 6%",
    "unchanged",
)
LARGE_FOUND = (
    ("Te dimer (2.83 A)", "Bonds that the host lacks: Te dimer (2.83 A). The other atoms are within 0.86 A."),
    ("Te_Cd + v_Te off-centre (0.61 A)", "The added atom is 0.61 A off its site. The other atoms are within 0.18 A."),
    ("Te trimer (2.79/2.91 A)", "Bonds that the host lacks: Te trimer (2.79/2.91 A)."),
)
LARGE_STATUS = (
    ("certain", "no other minimum found can be lower (margin 0.13 eV)"),
    ("verified", "1 verified minimum could fall lower, as the relaxation ended early, by 0.11 eV at most"),
    ("open", "its relaxation is not finished: 0.18 eV/A left, 0.05 asked for"),
)
UNCERTAINTY = (
    "what relaxing it further would still gain: the engine's forces, the final committee's curvature; the finite-size "
    "error is not in it"
)


def make_large_summary() -> Summary:
    """A study of eighteen states with everything that a page can have, its texts as long as real ones."""
    small = make_summary()
    states = [(name, charge) for name, energies in LARGE_EV.items() for charge in energies]
    keys = [f"{name}_{signed(charge)}" for name, charge in states]
    pairs = [pair for energies in LARGE_EV.values() for pair in zip(energies, list(energies)[1:], strict=False)]
    names = [name for name in LARGE_EV for _ in range(2)]
    parts = {
        "defects": [_large_state(i, name, charge, keys) for i, (name, charge) in enumerate(states)],
        "levels": _crossings(LARGE_EV),
        "spins": [_spin(i, name, charge) for i, (name, charge) in enumerate(states) if i % 3],
        "level_gaps": [_like(small.level_gaps, i, key=key) for i, key in enumerate(keys)],
        "parity": [
            _like(small.parity[start:], i, key=key)
            for start in (0, len(small.parity) // 2)
            for i, key in enumerate(keys)
            if i < len(small.parity) // 2 or start
        ],
        "search": [
            point.model_copy(update={"key": key})
            for i, key in enumerate(keys)
            for point in small.search[(i % 6) * len(STARTS) : (i % 6 + 1) * len(STARTS)]
        ],
        "errors": [
            *small.errors[:2],
            *(_like(small.errors[2:], i, defect=name, charge=charge) for i, (name, charge) in enumerate(states)),
        ],
        "ccd": [
            _like(small.ccd, i, defect=name, initial_charge=upper, final_charge=lower)
            for i, (name, (upper, lower)) in enumerate(zip(names, pairs, strict=True))
        ],
        "host": small.host.model_copy(update={"test": host_test()}),
        "warnings": [*small.warnings, FAR_WARNING],
    }
    return Summary.model_validate(small.model_copy(update=parts).model_dump())


FAR_WARNING = (
    "i_Te_1_0: its gain of 0.086 eV may be the host's and not the defect's: 12 of the 38 atoms farther than 5.6 A from "
    "its site are over 0.5 A from their places in the crystal (RMS 0.05 A), as if it changed phase."
)


def _like(rows: list, number: int, **fields: object) -> object:
    """One of the small study's rows, under another name."""
    return rows[number % len(rows)].model_copy(update=fields)


def _large_state(number: int, name: str, charge: int, keys: list[str]) -> DefectSummary:
    template = make_summary().defects[number % 6]
    status, certainty = LARGE_STATUS[number % 3]
    found, sentence = LARGE_FOUND[number % 3]
    minima = [
        row.model_copy(
            update={
                "distortion": LARGE_DISTORTIONS[(number + row.rank) % 4],
                "geometry_file": _geometry(name, charge, row.rank),
                "orientations": (24, 12, None)[row.rank],
            }
        )
        for row in template.minima
    ]
    at_vbm = LARGE_EV[name][charge]
    return template.model_copy(
        update={
            "key": keys[number],
            "defect": name,
            "charge": charge,
            "site_frac": [0.0, 0.0, 0.0],
            "status": status,
            "certainty": certainty,
            "uncertainty_origin": UNCERTAINTY,
            "formation_energy_eV": {"Cd-rich": at_vbm + 0.94, "Te-rich": at_vbm},
            "found": FoundStructure(
                name=found, sentence=sentence, plain=False, same_as=[key for key in keys[:4] if key != keys[number]]
            ),
            "distortion": minima[0].distortion,
            "geometry_file": minima[0].geometry_file,
            "far": FarAtomsRow(radius_A=5.6, atoms=38, displaced=12 * (number == 16), rms_A=0.05),
            "starts_tried": StartsTriedRow(
                first=24, further=12, new_minima=2, last_new=4, rested=True, text="24 starts and 12 further ones"
            ),
            "minima": minima,
        }
    )


def _spin(number: int, name: str, charge: int) -> SpinRow:
    failed = number % 4 == 0
    return SpinRow(
        key=f"{name}_{signed(charge)}",
        defect=name,
        charge=charge,
        reason=("an odd number of electrons", "two or more electrons or holes")[1 - number % 2],
        multiplicity=1 + number % 2,
        other_multiplicity=3 + number % 2,
        difference_eV=None if failed else 0.2134 - 0.07 * (number % 5),
        lower=not failed and number % 5 == 4,
        failure="the self-consistent field did not converge within 250 iterations" if failed else "",
        levels=[f"({signed(charge)}/{signed(charge - 1)})", f"({signed(charge)}/{signed(charge - 2)})"],
    )


def host_test() -> HostTest:
    """A host that passed its test."""
    return HostTest(
        distortions=3,
        failed=0,
        lowest_low_eV=0.235,
        lowest_high_eV=None,
        curvature_eV_A2=0.99,
        stable=True,
        labels={"gfn1": 12, "ipea1": 5},
        text="3 distortions of the perfect supercell were relaxed, and none ended below it",
    )
