"""Search, minima, verification, exploration."""

from pydantic import Field

from defectscape.settings.base import Settings
from defectscape.settings.training import TrainingSettings


class DynamicsSettings(Settings):
    """Molecular dynamics on the model's surface from the lowest minima; quenched snapshots are tried."""

    temperature_K: float = Field(gt=0, description="Temperature of the Langevin thermostat, K.")
    steps: int = Field(gt=0, description="Steps from each minimum; a step is one evaluation.")
    snapshots: int = Field(gt=0, description="Snapshots taken evenly on the way and relaxed.")
    time_step_fs: float = Field(2.0, gt=0, description="Time step, fs.")
    minima_per_charge: int = Field(1, ge=1, description="Lowest minima per charge it begins at.")


class HoppingSettings(Settings):
    """Basin hopping on the model's surface from the lowest minima."""

    hops: int = Field(gt=0, description="Kicks and relaxations of each chain.")
    step_A: float = Field(gt=0, description="Standard deviation of a kick per direction, A.")
    radius_A: float = Field(4.0, gt=0, description="Atoms this close to the defect are kicked, A.")
    temperature_K: float = Field(1000.0, gt=0, description="Temperature at which a rise of the energy is accepted, K.")
    minima_per_charge: int = Field(1, ge=1, description="Lowest minima per charge, one chain each.")


class UntilNothingNewSettings(Settings):
    """Further starts on the model's surface, batch by batch, until they bring no new low minimum."""

    at_most: int = Field(60, gt=0, description="Further starts of a charge state at most.")
    batch: int = Field(
        8,
        gt=0,
        description="Further starts of a charge state that are relaxed before it is asked what they brought: in turn "
        "bond distortions by other factors, hops, minima of other charge states, rattles, quenches, and atoms off "
        "their sites.",
    )
    quiet_batches: int = Field(
        2, gt=0, description="So many batches, one after the other, without a new low minimum end the search."
    )
    window_eV: float = Field(
        0.5,
        gt=0,
        description="A minimum this far above the lowest is low, eV: hops and quenches begin at low minima, other "
        "charge states try them, and new ones keep the search going.",
    )
    hop_step_A: float = Field(0.5, gt=0, description="Standard deviation of a hop's kick per direction, A.")
    hop_radius_A: float = Field(4.0, gt=0, description="Atoms this close to the defect are kicked, A.")
    quench_temperature_K: float = Field(1000.0, gt=0, description="Temperature of the dynamics before a quench, K.")
    quench_steps: int = Field(
        100, ge=0, description="Steps of 2 fs of these dynamics, one evaluation each. 0: no quenches."
    )


class SearchSettings(Settings):
    """Relaxations on the high-fidelity surface of the model."""

    fmax_eV_A: float = Field(gt=0, description="Convergence of a relaxation, eV/A.")
    max_steps: int = Field(gt=0, description="Step limit of a relaxation.")
    cross_seeds_per_charge: int = Field(
        ge=0, description="Lowest minima of each other charge state that are tried as starts."
    )
    dynamics: DynamicsSettings | None = Field(None, description="Molecular dynamics with quenches. None: not tried.")
    hopping: HoppingSettings | None = Field(None, description="Basin hopping. None: not tried.")
    until_nothing_new: UntilNothingNewSettings | None = Field(
        None,
        description="Go on with further starts until they bring no new low minimum: where a start costs little, their "
        "number follows from what is found. None: the starts of `sampling` and what is named above.",
    )
    max_force_std_eV_A: float = Field(
        0.5,
        gt=0,
        description="A minimum is doubtful if the committee's standard deviation of the force exceeds this, eV/A. "
        "Doubtful minima are labelled in the next round, and verified in addition to the same number of others.",
    )
    stop_force_std_eV_A: float | None = Field(
        None,
        gt=0,
        description="A relaxation is stopped if the committee's standard deviation of the force exceeds this and its "
        "value at the start, eV/A. The geometry is offered to the next round. None: only the end is checked.",
    )
    batch_size: int = Field(8, ge=1, description="Number of relaxations that go on together, as one batch.")
    max_displacement_A: float = Field(
        4.0, gt=0, description="A relaxation that moves an atom further than this is stopped, A."
    )
    shortest_distance_A: float | None = Field(
        1.2,
        gt=0,
        description="A relaxation that brings two atoms closer than this is stopped, A. `null`: closer than 0.65 of "
        "the sum of their covalent radii, as in sampling.",
    )


class MinimaSettings(Settings):
    """Merging and ranking."""

    merge_rmsd_A: float = Field(
        0.1, gt=0, description="Two minima are one if their RMSD under the host's symmetry is below this, A, ..."
    )
    merge_energy_eV: float = Field(0.03, gt=0, description="... and their energies differ by less than this, eV.")
    window_eV: float = Field(1.5, gt=0, description="Minima further above the lowest are not listed, eV.")
    symmetry_tolerance_A: float = Field(0.1, gt=0, description="Tolerance of the point-group search, A.")


class VerificationSettings(Settings):
    """What the high-fidelity engine checks."""

    minima_per_charge: int = Field(
        gt=0,
        description="Number of lowest minima per defect and charge that are checked in any case. The unperturbed "
        "start's minimum and the one nearest to the lowest high-fidelity label are checked besides.",
    )
    plain_relaxation: bool = Field(
        True,
        description="Relax the unperturbed start with the engine as well, so that the reported ground state is never "
        "above what a plain relaxation finds. If this is off, no state is open for lack of that relaxation.",
    )
    tolerance_eV: float = Field(
        0.02,
        ge=0,
        description="A ground state is certain if no other minimum found can be lower by more than this, and if its "
        "own energy can fall by no more than this, eV. The model's errors on the verified minima and the forces at "
        "the ends of their relaxations say what can be.",
    )
    known_eV: float = Field(
        0.001,
        ge=0,
        description="The engine also relaxes a structure labelled for training that lies lower than the verified "
        "minima by more than this, eV.",
    )
    search_error_eV: float = Field(
        0.2,
        gt=0,
        description="If the model errs by more than this on the minima that it found, it searched a wrong surface, "
        "and a model that learns the new labels searches again, eV. The error is that of a minimum relative to "
        "another, or what the engine's relaxation gains. If the last model still errs so much, the ground state is "
        "not certain.",
    )
    search_again: int = Field(
        3,
        ge=0,
        description="Largest number of such searches. The exploration's training goes on from its last models with "
        "the labels of the verification. 0: never.",
    )
    most_per_charge: int = Field(
        16,
        gt=0,
        description="Largest number of turns per defect and charge; they end earlier when the ground state is "
        "finished and certain. A turn is a minimum with its `relax_steps`, or so many further steps of a relaxation "
        "that has begun. Easy states need three or four.",
    )
    relax_steps: int = Field(
        8,
        ge=0,
        description="Steps with the engine's forces in a turn, one label each. A step goes to the minimum of the "
        "model's surface, corrected by all labels of that relaxation. 0: the minima are labelled and not relaxed, "
        "and no state is finished.",
    )
    fmax_eV_A: float = Field(
        0.05, gt=0, description="Such a relaxation is finished below this force, eV/A. Otherwise the state is open."
    )
    other_multiplicity: bool = Field(
        True,
        description="Compute a verified ground state once more with two more unpaired electrons (triplet, quartet), at "
        "the same geometry, and say where that is lower: one label for each state of an odd number of electrons, of "
        "two or more electrons or holes, with a dimer, or of a stated multiplicity (then with two fewer). Engines that "
        "do not tell spins apart (tblite; an ASE calculator with `multiplicity: none`) are not asked.",
    )


class ExplorationSettings(Settings):
    """The active-learning rounds that find the minima."""

    rounds: int = Field(
        ge=1, description="Active-learning rounds after the initial training; at most so many with `settled_eV`."
    )
    settled_eV: float | None = Field(
        None,
        gt=0,
        description="A charge state is settled where the model erred by less than this on its lowest minima before it "
        "saw their labels, less its mean error in that charge state, and where its lowest minimum is one of those that "
        "are labelled, eV: the next round selects nothing for it. Where all charge states that are learned together "
        "are settled, the round ends at once with the models and the search of the one before, so that `rounds` can be "
        "generous. None: every round is the same for all.",
    )
    training: TrainingSettings = Field(description="Training of the exploring committees.")
    search: SearchSettings = Field(description="Search of every round but the last one.")
    minima: MinimaSettings = Field(MinimaSettings(), description="Merging of minima in these rounds.")
