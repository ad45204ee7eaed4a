"""The machine-readable summary of a study: every number of the report, with units in its name.

``summary.json`` holds one ``Summary``; its JSON schema is generated from these classes. The page is
made from this file and from nothing else, so the two cannot disagree.
"""

from pydantic import Field

from defectscape.summary.schema_results import (
    BindingSummary,
    CaptureSummary,
    CaptureTemperature,
    CcdSummary,
    DefectSummary,
    EquilibriumRow,
    FarAtomsRow,
    FoundStructure,
    HostSummary,
    HostTest,
    LevelOfTheory,
    LevelSummary,
    MinimumSummary,
    PathPoint,
    PriorSummary,
    PriorTerm,
    Row,
    SearchPoint,
    StartsTriedRow,
    StateConcentrationRow,
)
from defectscape.summary.schema_trust import (
    CalibrationRow,
    CostRow,
    CurvePoint,
    ErrorSummary,
    FidelityDifferenceRow,
    GateRow,
    JobRow,
    LevelTestRow,
    Overhead,
    ParityData,
    Provenance,
    SpinRow,
    TrainingCurve,
    UnfinishedRow,
)

__all__ = [
    "SUMMARY_VERSION",
    "BindingSummary",
    "CalibrationRow",
    "CaptureSummary",
    "CaptureTemperature",
    "CcdSummary",
    "CostRow",
    "CurvePoint",
    "DefectSummary",
    "EquilibriumRow",
    "ErrorSummary",
    "FarAtomsRow",
    "FidelityDifferenceRow",
    "FoundStructure",
    "GateRow",
    "HostSummary",
    "HostTest",
    "JobRow",
    "LevelOfTheory",
    "LevelSummary",
    "LevelTestRow",
    "MinimumSummary",
    "Overhead",
    "ParityData",
    "PathPoint",
    "PriorSummary",
    "PriorTerm",
    "Provenance",
    "Row",
    "SearchPoint",
    "SpinRow",
    "StartsTriedRow",
    "StateConcentrationRow",
    "Summary",
    "TrainingCurve",
    "UnfinishedRow",
]

SUMMARY_VERSION = 1


class Summary(Row):
    """Everything a study found."""

    version: int = Field(SUMMARY_VERSION, description="Version of this schema.")
    study: str
    low: LevelOfTheory
    high: LevelOfTheory
    prior: PriorSummary | None = Field(
        None, description="What stands under the model; null if the model learned the whole."
    )
    host: HostSummary
    chemical_potentials_eV: dict[str, dict[str, float]] = Field(
        description="Per limit, chemical potential of each element relative to its reference, eV."
    )
    defects: list[DefectSummary]
    levels: list[LevelSummary]
    binding: list[BindingSummary] = Field([], description="Binding energies of pairs; empty without any.")
    spins: list[SpinRow] = Field(
        [], description="Ground states at another spin multiplicity; empty where the engine does not tell spins apart."
    )
    equilibria: list[EquilibriumRow] = Field(
        [], description="Concentrations and self-consistent Fermi levels; empty if not asked for."
    )
    errors: list[ErrorSummary]
    parity: list[ParityData]
    level_gaps: list[FidelityDifferenceRow] = Field([], description="Differences between the two levels.")
    calibration: list[CalibrationRow] = Field([], description="From spreads to error bars.")
    level_tests: list[LevelTestRow] = Field(
        [], description="Levels that the model predicted before the engine had its say."
    )
    search: list[SearchPoint]
    ccd: list[CcdSummary]
    capture: list[CaptureSummary] = Field([], description="Capture of carriers, where asked for.")
    cost: list[CostRow]
    jobs: list[JobRow]
    overhead: Overhead | None = Field(None, description="Null without Snakemake's benchmark files.")
    training: list[TrainingCurve]
    gates: list[GateRow]
    warnings: list[str] = Field(description="What the reader must know before using the numbers.")
    model_files: list[str] = Field(description="Final model files, relative to the study's folder.")
    provenance: Provenance
    unfinished: list[UnfinishedRow] = Field(
        [], description="What a partial summary lacks; the summary of a whole study has no such entry."
    )
