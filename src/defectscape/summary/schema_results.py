"""Entries of the summary that say what was found, with units in their names."""

from pydantic import BaseModel, ConfigDict, Field


class Row(BaseModel):
    """Base of all entries of the summary: no unknown field, no change after making."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LevelOfTheory(Row):
    """One fidelity as it was really used."""

    name: str = Field(description="Name of the fidelity, also the model's head.")
    engine: str = Field(description="Engine, for example tblite.")
    method: str = Field(description="Method of the engine, for example GFN1-xTB.")
    settings: str = Field(description="Canonical JSON of the settings that enter the label's key.")
    engine_versions: list[str] = Field(description="Engine versions found in the labels' records.")


class PriorTerm(Row):
    """One engine of the prior."""

    engine: str = Field(description="Engine, for example tblite.")
    method: str = Field(description="Method of the engine, for example IPEA1-xTB.")
    settings: str = Field(description="Canonical JSON of the settings that change its values.")
    sign: int = Field(description="+1, or -1 where it is taken off.")
    neutral: bool = Field(description="Whether it is asked in charge 0, whatever the state's charge.")


class PriorSummary(Row):
    """Cheap energies and forces under the model, which learned what they leave of the labels."""

    text: str = Field(description="What it is, in words.")
    terms: list[PriorTerm] = Field(description="Its engines; the prior is their sum, each with its sign.")
    store: str = Field(description="Folder of its own label store.")
    frames: int = Field(description="Labelled frames of the study that it was asked for.")
    failed: int = Field(description="Of these, frames that it failed for: no model is trained on them.")
    failures: dict[str, int] = Field(description="The reasons, with the number of frames of each.")
    calls: int = Field(description="Calls of its engines for these frames, failed ones included.")
    core_s: float = Field(description="Core-seconds that these calls took.")


class HostTest(Row):
    """Distortions of the perfect supercell and where they relaxed to."""

    distortions: int = Field(description="Distortions that were relaxed.")
    failed: int = Field(description="Distortions of which no label was to be had.")
    lowest_low_eV: float | None = Field(
        description="Lowest end above the perfect supercell by the low-fidelity engine, eV per supercell."
    )
    lowest_high_eV: float | None = Field(
        description="The same by the high-fidelity engine, of those ends that it was asked for; null if none fell."
    )
    curvature_eV_A2: float | None = Field(
        description="Lowest curvature along a displacement of the supercell, eV/A^2; null if not measured."
    )
    stable: bool = Field(description="Whether no lower structure of the crystal was found.")
    labels: dict[str, int] = Field(description="Labels that the test used, by fidelity, the host's own among them.")
    text: str = Field(description="The test in a sentence.")


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
    relaxed: str = Field(description="How the host was relaxed: none, positions, volume or cell.")
    test: HostTest | None = Field(None, description="Test of its stability; null if the study has none.")


class MinimumSummary(Row):
    """One distinct minimum."""

    rank: int = Field(description="0 for the lowest by the model.")
    energy_above_lowest_eV: float = Field(description="Model energy above the lowest minimum, eV.")
    committee_std_eV: float = Field(description="Committee standard deviation of that energy difference, eV.")
    committee_bar_eV: float | None = Field(
        None, description="Its calibrated standard uncertainty, eV; null for the lowest and if uncalibrated."
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
    engine_fmax_eV_A: float | None = Field(description="Largest engine force at the geometry in the file, eV/A.")
    relax_steps: int = Field(description="Relaxation steps taken with the engine itself.")
    point_group: str = Field(description="Schoenflies symbol.")
    orientations: int | None = Field(
        None, description="Orientational degeneracy on its site; null where it left the site."
    )
    distortion: str = Field(description="Dominant distortion in words.")
    found_from: list[str] = Field(description="Starts that led here.")
    from_unperturbed: bool = Field(description="Whether the unperturbed start led here.")
    doubtful: bool = Field(False, description="Whether the search's committee disagrees on the forces there.")
    geometry_file: str = Field(description="POSCAR of the structure, relative to the study's folder.")


class StartsTriedRow(Row):
    """How many starts the final search of a charge state tried, where their number follows from what is found."""

    first: int = Field(description="Starts before the further ones.")
    further: int = Field(description="Further starts.")
    new_minima: int = Field(description="New low minima that the further starts brought.")
    last_new: int = Field(description="Number of the further start that led to the last of these; 0 without any.")
    rested: bool = Field(description="Whether it ended because nothing new came; else at its limit.")
    text: str = Field(description="All of it in words.")


class FoundStructure(Row):
    """What a structure holds, in the field's words."""

    name: str = Field(description="Short name, as `v_Cd`, `Se_Sb + v_Se` or `Te dimer (2.81 A)`.")
    sentence: str = Field(description="The same in words.")
    plain: bool = Field(description="Whether it is the defect that it began as: no new bond, no atom off-centre.")
    same_as: list[str] = Field([], description="Keys of the other ground states that have this structure.")


class FarAtomsRow(Row):
    """Atoms far from a defect against the host's lattice."""

    radius_A: float = Field(description="Distance from the site beyond which they are far, A.")
    atoms: int = Field(description="Sites of the host that are that far.")
    displaced: int = Field(description="Of them, those whose atom has left its place.")
    rms_A: float = Field(description="Root-mean-square distance of the far atoms from their places, A.")


class DefectSummary(Row):
    """One defect in one charge state."""

    key: str = Field(description="Defect key, for example v_Cd_-2.")
    defect: str = Field(description="Defect name.")
    charge: int = Field(description="Charge, units of e.")
    multiplicity: int | None = Field(
        None, description="Spin multiplicity, 2S + 1, of its labels; null in summaries of earlier versions."
    )
    site_frac: list[float] = Field(
        [], description="The defect's site before relaxation, fractional coordinates of the supercell."
    )
    ground_state_rank: int = Field(description="Model rank of the minimum that is the ground state.")
    verified: bool = Field(description="Whether the high-fidelity engine computed the ground state.")
    status: str = Field(
        "",
        description="`open`: the ground state or the plain relaxation is not finished. `verified`: both are, but "
        "another structure may be lower. `certain`: neither. Empty in summaries of earlier versions.",
    )
    certain: bool = Field(False, description="Whether no other minimum found can be the ground state, as far as known.")
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
    model_error_eV: float | None = Field(description="Model error on it before it was trained on, eV.")
    gain_over_unperturbed_eV: float | None = Field(
        description="Energy of the unperturbed relaxation above the ground state, eV, "
        "from the engine where both are verified, else from the model; null if it failed."
    )
    gain_verified: bool = Field(description="Whether that gain is the engine's.")
    found: FoundStructure | None = Field(
        None, description="What the ground state holds, by name; null in summaries from before it was told."
    )
    point_group: str = Field(description="Schoenflies symbol of the ground state.")
    distortion: str = Field(description="Dominant distortion in words.")
    geometry_file: str = Field(description="POSCAR of the ground state.")
    far: FarAtomsRow | None = Field(
        None, description="Atoms far from the ground state's site; null in summaries from before they were looked at."
    )
    distinct_minima: int = Field(description="Number of distinct minima found.")
    relaxations: int = Field(description="Relaxations tried.")
    relaxations_failed: int = Field(description="Relaxations that did not converge or were stopped.")
    failure_reasons: dict[str, int] = Field(description="Why, and how many.")
    starts_tried: StartsTriedRow | None = Field(
        None, description="How the search went on; null where the number of starts was fixed."
    )
    minima: list[MinimumSummary] = Field(description="All minima in the window, lowest first.")

    @property
    def trust(self) -> str:
        """``status``, also for summaries of versions that had none."""
        return self.status or ("certain" if self.certain else "verified" if self.verified else "open")

    @property
    def ground(self) -> MinimumSummary | None:
        """The minimum that is the ground state; None if it is not among those listed."""
        return next((row for row in self.minima if row.rank == self.ground_state_rank), None)


class LevelSummary(Row):
    """A charge-transition level."""

    defect: str = Field(description="Defect name.")
    upper_charge: int = Field(description="The more positive charge state.")
    lower_charge: int = Field(description="The more negative charge state.")
    level_eV: float = Field(description="Level above the valence band maximum, eV.")
    uncertainty_eV: float = Field(description="Standard uncertainty, eV.")
    stable: bool = Field(description="Whether it lies on the hull of stable charge states.")
    in_gap: bool = Field(description="Whether it lies inside the band gap.")


class BindingSummary(Row):
    """Binding energy of a pair of point defects in one charge state."""

    defect: str = Field(description="Name of the pair.")
    charge: int = Field(description="Charge of the pair, units of e.")
    distance_A: float = Field(description="Between its partners' sites before relaxation, A.")
    orientations: int = Field(description="Such pairs around one site of its first partner.")
    multiplicity: int = Field(description="Such pairs in a primitive cell, each once.")
    energy_eV: float | None = Field(
        description="Formation energy of the pair less those of its partners apart, in the charges that add up to its "
        "own and are lowest together, eV: negative where it is bound; null where the study lacks a partner."
    )
    uncertainty_eV: float | None = Field(
        description="Its standard uncertainty: those of the three formation energies in quadrature, eV."
    )
    partners: list[str] = Field(description="Keys of the partners' charge states, for example v_Cd_-2.")
    verified: bool = Field(description="Whether the high-fidelity engine computed all three ground states.")
    reason: str = Field(description="Why there is no binding energy; empty if there is.")


class StateConcentrationRow(Row):
    """How many defects are in one charge state."""

    defect: str
    charge: int
    annealing_cm3: float = Field(description="While annealed, cm^-3.")
    operating_cm3: float = Field(description="After quenching, cm^-3.")
    operating_std_log10: float | None = Field(
        description="Standard deviation of the decimal logarithm of the latter; null where a formation energy raised "
        "by its uncertainty leaves no equilibrium, as where a limit makes a defect's formation energy negative."
    )


class EquilibriumRow(Row):
    """Defects formed at one temperature in one limit, then quenched."""

    limit: str = Field(description="Chemical potential limit.")
    annealing_K: float = Field(description="Temperature at which the defects form, K.")
    operating_K: float = Field(description="Temperature of use, K.")
    annealing_fermi_eV: float = Field(description="Fermi level above the VBM while annealed, eV.")
    annealing_fermi_std_eV: float = Field(description="One standard deviation, eV.")
    operating_fermi_eV: float = Field(description="Fermi level after quenching, eV.")
    operating_fermi_std_eV: float = Field(description="One standard deviation, eV.")
    electrons_cm3: float = Field(description="Electrons after quenching, cm^-3.")
    holes_cm3: float = Field(description="Holes after quenching, cm^-3.")
    states: list[StateConcentrationRow]


class SearchPoint(Row):
    """One relaxation of the final search."""

    key: str
    start: str = Field(description="Start, in words.")
    energy_above_lowest_eV: float = Field(description="Model energy above the lowest minimum, eV.")
    converged: bool
    reason: str


class PathPoint(Row):
    """One point of a curve by the engine."""

    Q_amu05_A: float = Field(description="Generalised coordinate, amu^(1/2) A.")
    engine_eV: float = Field(description="The engine's energy above its own at the ground state, eV.")
    model_eV: float = Field(description="The model's, likewise, eV.")


class CcdSummary(Row):
    """Configuration-coordinate diagram of one pair of adjacent charge states."""

    defect: str
    initial_charge: int
    final_charge: int
    dQ_amu05_A: float = Field(description="Mass-weighted distance of the two ground states, amu^(1/2) A.")
    Q_amu05_A: list[float] = Field(description="Generalised coordinate, amu^(1/2) A.")
    initial_eV: list[float] = Field(description="Energy of the initial charge along Q, its minimum at 0, eV.")
    final_eV: list[float] = Field(description="Energy of the final charge along Q, its minimum at 0, eV.")
    initial_std_eV: list[float] = Field(description="Committee standard deviation, eV.")
    final_std_eV: list[float] = Field(description="Committee standard deviation, eV.")
    level_eV: float = Field(description="Zero-phonon separation at E_F = VBM: the transition level, eV.")
    relaxation_initial_eV: float = Field(description="Relaxation energy in the initial charge, eV.")
    relaxation_final_eV: float = Field(description="Relaxation energy in the final charge, eV.")
    phonon_initial_eV: float | None = Field(description="Effective phonon energy, initial charge, eV.")
    phonon_final_eV: float | None = Field(description="Effective phonon energy, final charge, eV.")
    quantum_initial_eV: float | None = Field(
        None, description="Lowest vibrational spacing of the initial curve, no parabola assumed, eV."
    )
    quantum_final_eV: float | None = Field(None, description="The same of the final curve, eV.")
    huang_rhys_initial: float | None
    huang_rhys_final: float | None
    harmonic_initial: bool = Field(description="Whether a parabola fits the initial curve.")
    harmonic_final: bool = Field(description="Whether a parabola fits the final curve.")
    source: str = Field(description="Which model or engine gave the energies.")
    initial_checks: list[PathPoint] = Field(
        [], description="Points of the initial curve that the engine computed, besides its ground state."
    )
    final_checks: list[PathPoint] = Field([], description="The same of the final curve.")
    engine_rms_eV: float | None = Field(
        None, description="RMS difference of the model and the engine over those points, eV."
    )
    initial_model_eV: list[float] = Field(
        [], description="The model's own initial curve, where the engine's points moved it, eV."
    )
    final_model_eV: list[float] = Field([], description="The same of the final curve, eV.")
    left_out_rms_eV: float | None = Field(
        None, description="RMS error of the moved curves at engine points left out in turn, the worse of the two, eV."
    )


class CaptureTemperature(Row):
    """A capture coefficient at one temperature."""

    temperature_K: float
    coefficient_cm3_s: float = Field(description="Capture coefficient, cm^3/s.")
    low_cm3_s: float | None = Field(description="The smallest within the level's standard uncertainty, cm^3/s.")
    high_cm3_s: float | None = Field(description="The largest within the level's standard uncertainty, cm^3/s.")
    coulomb_factor: float | None = Field(
        description="Enhancement by the defect's charge, contained in the coefficient; null if not asked for."
    )


class CaptureSummary(Row):
    """Capture of a carrier by multiphonon emission."""

    defect: str
    initial_charge: int
    final_charge: int
    carrier: str = Field(description="`electron` or `hole`.")
    released_eV: float | None = Field(description="Energy set free, eV.")
    released_std_eV: float | None = Field(description="Its standard uncertainty: the level's, eV.")
    coupling_eV_amu05_A: float = Field(description="The user's matrix element, eV/(amu^(1/2) A).")
    temperatures: list[CaptureTemperature]
    reason: str = Field(description="Why there are no coefficients; empty if there are.")
