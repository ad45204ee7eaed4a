"""Entries of the summary that say what the results rest on and what they cost."""

from typing import Literal

from pydantic import Field

from defectscape.summary.schema_results import Row


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
    share_of_minutes_percent: float = Field(
        description="The same if each of these labels had taken a minute, as those of DFT do or more, %."
    )


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
    force_reference_eV_A: list[float] = Field(description="Engine force components (thinned), eV/A.")
    force_model_eV_A: list[float] = Field(description="Model force components, eV/A.")


class FidelityDifferenceRow(Row):
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


class SpinRow(Row):
    """A ground state at another spin multiplicity, at the same geometry, by the high-fidelity engine."""

    key: str
    defect: str
    charge: int
    reason: str = Field(description="Why another multiplicity is plausible.")
    multiplicity: int = Field(description="Spin multiplicity of the ground state, 2S + 1.")
    other_multiplicity: int = Field(description="The one that was tried.")
    difference_eV: float | None = Field(
        description="Energy at the other multiplicity above that of the ground state, eV; null if it failed."
    )
    lower: bool = Field(description="Whether the other one is lower.")
    failure: str = Field(description="Why it failed; empty otherwise.")
    levels: list[str] = Field(description="Transition levels that rest on the state.")


class UnfinishedRow(Row):
    """Charge states explored together that a partial summary lacks."""

    group: str = Field(description="Name of the exploration group.")
    keys: list[str] = Field(description="Its defect in its charge states.")
    stage: str = Field(description="The job that stopped it, or that it has come to: the stage with its arguments.")
    state: Literal["failed", "running", "queued", "left"] = Field(description="How far that job is.")
    reason: str = Field(description="Why it failed, or which defect it learns from and waits for; empty otherwise.")
    log: str = Field(description="The job's log.")
