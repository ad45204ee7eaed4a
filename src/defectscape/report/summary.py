"""The machine-readable summary of a study: every number of the report, with units in its name.

``summary.json`` holds one ``Summary``; its JSON schema is generated from these classes. The page is
made from this file and from nothing else, so the two cannot disagree.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SUMMARY_VERSION = 1


class Row(BaseModel):
    """Base of all entries: no unknown field, no change after making."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LevelOfTheory(Row):
    """One fidelity as it was really used."""

    name: str = Field(description="Name of the fidelity, also the model's head.")
    engine: str = Field(description="Engine, for example tblite.")
    method: str = Field(description="Method of the engine, for example GFN1-xTB.")
    settings: str = Field(description="Canonical JSON of the settings that enter the label's key.")
    engine_versions: list[str] = Field(description="Engine versions found in the labels' records.")


class HostSummary(Row):
    """The perfect crystal."""

    formula: str = Field(description="Reduced formula.")
    spacegroup: str = Field(description="International symbol.")
    lattice_A: list[float] = Field(description="a, b, c of the unit cell used, A.")
    atoms: int = Field(description="Atoms in the perfect supercell.")
    min_image_distance_A: float = Field(description="Shortest distance to a periodic image, A.")
    energy_eV: float = Field(description="High-fidelity energy of the perfect supercell, eV.")
    vbm_eV: float = Field(description="Valence band maximum, eigenvalue, eV.")
    gap_eV: float = Field(description="Band gap from eigenvalues, eV.")
    relaxed: str = Field(description="How the host was relaxed: none, volume or cell.")


class MinimumSummary(Row):
    """One distinct minimum."""

    rank: int = Field(description="0 for the lowest by the model.")
    energy_above_lowest_eV: float = Field(description="Model energy above the lowest minimum, eV.")
    committee_std_eV: float = Field(
        description="Committee standard deviation of that energy difference, eV."
    )
    committee_bar_eV: float | None = Field(
        None,
        description="Its calibrated standard uncertainty, eV; null for the lowest and if uncalibrated.",
    )
    verified_above_lowest_eV: float | None = Field(
        description="High-fidelity energy above the verified ground state, eV; null if not verified."
    )
    verified_energy_eV: float | None = Field(
        description="High-fidelity energy of the geometry in the file, eV; null if not verified."
    )
    model_error_eV: float | None = Field(
        description="Model minus engine at the model's geometry, before the model saw it, eV."
    )
    engine_fmax_eV_A: float | None = Field(
        description="Largest engine force at the geometry in the file, eV/A."
    )
    relax_steps: int = Field(description="Relaxation steps taken with the engine itself.")
    point_group: str = Field(description="Schoenflies symbol.")
    orientations: int | None = Field(
        None, description="Orientational degeneracy on its site; null where it left the site."
    )
    distortion: str = Field(description="Dominant distortion in words.")
    found_from: list[str] = Field(description="Starts that led here.")
    from_unperturbed: bool = Field(description="Whether the unperturbed start led here.")
    geometry_file: str = Field(
        description="POSCAR of the structure, relative to the study's folder."
    )


class DefectSummary(Row):
    """One defect in one charge state."""

    key: str = Field(description="Defect key, for example v_Cd_-2.")
    defect: str = Field(description="Defect name.")
    charge: int = Field(description="Charge, units of e.")
    ground_state_rank: int = Field(
        description="Model rank of the minimum that is the ground state."
    )
    verified: bool = Field(
        description="Whether the high-fidelity engine computed the ground state."
    )
    certain: bool = Field(
        False, description="Whether no unverified minimum can be the ground state, as far as known."
    )
    certainty: str = Field("", description="Why, in words.")
    energy_eV: float = Field(
        description="Supercell energy of the ground state, eV: the engine's if verified, else the model's."
    )
    uncertainty_eV: float = Field(description="Its standard uncertainty, eV.")
    uncertainty_origin: str = Field(description="What the uncertainty is made of, in words.")
    formation_energy_eV: dict[str, float] = Field(
        description="Formation energy at the valence band maximum per chemical-potential limit, eV."
    )
    correction_eV: float = Field(description="Finite-size correction contained in it, eV.")
    correction_label: str = Field(description="Which correction that is.")
    verified_energy_eV: float | None = Field(description="High-fidelity energy, eV.")
    model_error_eV: float | None = Field(
        description="Model error on it before it was trained on, eV."
    )
    gain_over_unperturbed_eV: float | None = Field(
        description="Energy of the unperturbed relaxation above the ground state, eV, "
        "from the engine where both are verified, else from the model; null if it failed."
    )
    gain_verified: bool = Field(description="Whether that gain is the engine's.")
    point_group: str = Field(description="Schoenflies symbol of the ground state.")
    distortion: str = Field(description="Dominant distortion in words.")
    geometry_file: str = Field(description="POSCAR of the ground state.")
    distinct_minima: int = Field(description="Number of distinct minima found.")
    relaxations: int = Field(description="Relaxations tried.")
    relaxations_failed: int = Field(
        description="Relaxations that did not converge or were stopped."
    )
    failure_reasons: dict[str, int] = Field(description="Why, and how many.")
    minima: list[MinimumSummary] = Field(description="All minima in the window, lowest first.")


class LevelSummary(Row):
    """A charge-transition level."""

    defect: str = Field(description="Defect name.")
    upper_charge: int = Field(description="The more positive charge state.")
    lower_charge: int = Field(description="The more negative charge state.")
    level_eV: float = Field(description="Level above the valence band maximum, eV.")
    uncertainty_eV: float = Field(description="Standard uncertainty, eV.")
    stable: bool = Field(description="Whether it lies on the hull of stable charge states.")
    in_gap: bool = Field(description="Whether it lies inside the band gap.")


class ErrorSummary(Row):
    """Errors of the final committee on held-out frames."""

    fidelity: str = Field(description="Fidelity (head).")
    defect: str = Field(description="Defect name, or 'all'.")
    charge: int | None = Field(description="Charge, or null for all.")
    frames: int = Field(description="Held-out frames.")
    energy_mae_meV_atom: float = Field(description="Mean absolute energy error, meV/atom.")
    energy_rmse_meV_atom: float = Field(description="RMS energy error, meV/atom.")
    energy_rmse_shifted_meV_atom: float = Field(
        description="RMS energy error after removing the mean per defect and charge, meV/atom."
    )
    force_mae_meV_A: float = Field(description="Mean absolute force-component error, meV/A.")
    force_rmse_meV_A: float = Field(description="RMS force-component error, meV/A.")


class CalibrationRow(Row):
    """The factor from a committee's spread to an error bar, for one quantity."""

    fidelity: str
    quantity: str = Field(
        description="force (component), within (energy difference within a charge), between (charges)."
    )
    members: int = Field(description="Committee members.")
    frames: int = Field(description="Validation frames that the factors rest on.")
    families: int = Field(description="Geometry families of those.")
    typical_spread: float | None = Field(description="RMS spread of those, eV or eV/A.")
    factor68: float | None = Field(description="Factor to a standard uncertainty; null if none.")
    factor68_std: float | None = Field(description="Its deviation when frames are drawn again.")
    factor95: float | None = Field(description="Factor to a 95% bar.")
    test_frames: int = Field(description="Frames of test families that the coverages are of.")
    coverage68_before: float | None = Field(description="Share of errors within one spread.")
    coverage95_before: float | None = Field(description="Share within two spreads.")
    coverage68_after: float | None = Field(description="Share within the 68% bar.")
    coverage95_after: float | None = Field(description="Share within the 95% bar.")
    rank_correlation: float | None = Field(description="Spearman's, of spread and error.")
    reason: str = Field(description="Why there is no factor, or empty.")


class LevelTestRow(Row):
    """A level as the searching committee predicted it, before the engine had its say."""

    defect: str
    upper_charge: int
    lower_charge: int
    model_error_eV: float = Field(
        description="Level of the model less that of the engine, both at the model's minima, eV."
    )
    bar_eV: float | None = Field(description="Calibrated standard uncertainty, eV.")


class CostRow(Row):
    """Labels of one stage at one fidelity."""

    stage: str = Field(description="Stage that asked for the labels.")
    fidelity: str = Field(description="Fidelity.")
    labels: int = Field(description="Labels used by the study.")
    failed: int = Field(description="Calculations that failed for good.")
    core_s: float = Field(description="Core-seconds these labels took when they were computed.")


class JobRow(Row):
    """Wall time of a rule, from its benchmark files."""

    rule: str = Field(description="Rule name.")
    kind: Literal["engine", "training", "relaxation", "other"] = Field(
        description="What it is there for; labels that were in the store cost an engine's rule other time."
    )
    jobs: int = Field(description="Jobs.")
    wall_s: float = Field(description="Sum of wall seconds.")
    cpu_s: float = Field(description="Sum of CPU seconds.")


class Overhead(Row):
    """What the last run's jobs did with their wall time, starting and stopping included."""

    engine_s: float = Field(description="The engine at work, s.")
    training_s: float = Field(description="Training, s.")
    relaxation_s: float = Field(description="Searches with the model, s.")
    other_s: float = Field(description="Everything else, s: the pipeline's own work.")
    labels: int = Field(description="Labels that these jobs had the engine compute.")
    share_percent: float = Field(description="Everything else, of all of it, %.")


class CurvePoint(Row):
    """One validation during training."""

    step: int
    loss: float
    energy_rmse_meV_atom: dict[str, float] = Field(description="Per fidelity.")
    force_rmse_meV_A: dict[str, float] = Field(description="Per fidelity.")


class TrainingCurve(Row):
    """History of one committee member."""

    model: str = Field(description="Model name, for example final/0 or v_Cd/round_1/0.")
    stop_reason: str = Field(description="Why training ended.")
    best_step: int = Field(description="Step whose weights were kept.")
    train_frames: dict[str, int] = Field(description="Training frames per fidelity.")
    valid_frames: dict[str, int] = Field(description="Validation frames per fidelity.")
    points: list[CurvePoint]


class ParityData(Row):
    """Paired values on held-out frames."""

    fidelity: str
    key: str = Field(description="Defect key.")
    energy_reference_meV_atom: list[float] = Field(
        description="Engine energies relative to the mean of the key and fidelity, meV/atom."
    )
    energy_model_meV_atom: list[float] = Field(description="Model energies on the same scale.")
    force_reference_eV_A: list[float] = Field(
        description="Engine force components (thinned), eV/A."
    )
    force_model_eV_A: list[float] = Field(description="Model force components, eV/A.")


class LevelGapRow(Row):
    """How far the two levels differ on the frames of one key that have both labels."""

    key: str
    frames: int = Field(description="Frames with both labels.")
    shift_eV: float = Field(description="Mean difference of energies, high less low, eV.")
    spread_meV_atom: float = Field(
        description="Standard deviation of that difference, meV/atom: what the model must learn."
    )
    low_spread_meV_atom: float = Field(
        description="Standard deviation of the low-fidelity energies themselves, meV/atom."
    )
    force_rms_meV_A: float = Field(description="RMS difference of a force component, meV/A.")
    force_meV_A: float = Field(description="RMS of a high-fidelity force component, meV/A.")


class SearchPoint(Row):
    """One relaxation of the final search."""

    key: str
    start: str = Field(description="Start, in words.")
    energy_above_lowest_eV: float = Field(description="Model energy above the lowest minimum, eV.")
    converged: bool
    reason: str


class CcdSummary(Row):
    """Configuration-coordinate diagram of one pair of adjacent charge states."""

    defect: str
    initial_charge: int
    final_charge: int
    dQ_amu05_A: float = Field(
        description="Mass-weighted distance of the two ground states, amu^(1/2) A."
    )
    Q_amu05_A: list[float] = Field(description="Generalised coordinate, amu^(1/2) A.")
    initial_eV: list[float] = Field(
        description="Energy of the initial charge along Q, its minimum at 0, eV."
    )
    final_eV: list[float] = Field(
        description="Energy of the final charge along Q, its minimum at 0, eV."
    )
    initial_std_eV: list[float] = Field(description="Committee standard deviation, eV.")
    final_std_eV: list[float] = Field(description="Committee standard deviation, eV.")
    level_eV: float = Field(
        description="Zero-phonon separation at E_F = VBM: the transition level, eV."
    )
    relaxation_initial_eV: float = Field(description="Relaxation energy in the initial charge, eV.")
    relaxation_final_eV: float = Field(description="Relaxation energy in the final charge, eV.")
    phonon_initial_eV: float | None = Field(
        description="Effective phonon energy, initial charge, eV."
    )
    phonon_final_eV: float | None = Field(description="Effective phonon energy, final charge, eV.")
    huang_rhys_initial: float | None
    huang_rhys_final: float | None
    harmonic_initial: bool = Field(description="Whether a parabola fits the initial curve.")
    harmonic_final: bool = Field(description="Whether a parabola fits the final curve.")
    source: str = Field(description="Which model or engine gave the energies.")


class GateRow(Row):
    """One gate that the pipeline passed (a failed one stops it)."""

    model: str = Field(description="Which committee.")
    gate: str = Field(description="What was checked.")
    value: float = Field(description="Measured value.")
    unit: str = Field(description="Its unit.")
    limit: str = Field(description="What it had to satisfy.")


class Provenance(Row):
    """Where the numbers come from."""

    defectscape: str = Field(description="Version of this package.")
    packages: dict[str, str] = Field(description="Versions of the packages that matter.")
    config: str = Field(description="The study's configuration, as YAML.")
    config_sha256: str = Field(description="Its digest.")
    seed: int = Field(description="Seed of the study.")
    finished: str = Field(description="UTC time of the summary, ISO 8601.")


class Summary(Row):
    """Everything a study found."""

    version: int = Field(SUMMARY_VERSION, description="Version of this schema.")
    study: str
    low: LevelOfTheory
    high: LevelOfTheory
    host: HostSummary
    chemical_potentials_eV: dict[str, dict[str, float]] = Field(
        description="Per limit, chemical potential of each element relative to its reference, eV."
    )
    defects: list[DefectSummary]
    levels: list[LevelSummary]
    errors: list[ErrorSummary]
    parity: list[ParityData]
    level_gaps: list[LevelGapRow] = Field([], description="Differences between the two levels.")
    calibration: list[CalibrationRow] = Field([], description="From spreads to error bars.")
    level_tests: list[LevelTestRow] = Field(
        [], description="Levels that the model predicted before the engine had its say."
    )
    search: list[SearchPoint]
    ccd: list[CcdSummary]
    cost: list[CostRow]
    jobs: list[JobRow]
    overhead: Overhead | None = Field(None, description="Null without Snakemake's benchmark files.")
    training: list[TrainingCurve]
    gates: list[GateRow]
    warnings: list[str] = Field(description="What the reader must know before using the numbers.")
    model_files: list[str] = Field(description="Final model files, relative to the study's folder.")
    provenance: Provenance
