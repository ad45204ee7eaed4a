"""The study: everything one run needs to know."""

from pydantic import Field, model_validator

from defectscape.domain.keys import HOST_KEY, DefectKey, format_charge
from defectscape.settings.base import FilePath, Settings
from defectscape.settings.ccd import CcdSettings
from defectscape.settings.effort import Effort, with_effort
from defectscape.settings.engine import FidelitiesSettings, PackingSettings, PriorSettings, tells_spins
from defectscape.settings.sampling import SamplingSettings, SelectionSettings
from defectscape.settings.search import (
    ExplorationSettings,
    MinimaSettings,
    SearchSettings,
    VerificationSettings,
)
from defectscape.settings.structure import DefectSettings, HostSettings
from defectscape.settings.thermo import ThermoSettings
from defectscape.settings.training import TrainingSettings

POTENTIAL_ENGINES = ("espresso", "vasp")
"""Engines that give electrostatic potentials at the atoms."""


class Study(Settings):
    """One study: one host, its defects, two levels of theory."""

    study: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Name of the study; results go to `results/<study>/`.",
    )
    effort: Effort | None = Field(
        None,
        description="How much is sampled, labelled, searched, verified and trained: `quick` (minutes with the "
        "embedded engine), `standard` or `thorough`. It sets every key below that says so; a key that is given stays "
        "as it is. Left out, it is `standard`. A study that gives all six sections that it sets has none.",
    )
    seed: int = Field(ge=0, description="Seed from which every item's own seed is derived.")
    label_store: FilePath = Field(description="Folder of the label store; studies may share one.")
    label_jobs: int = Field(gt=0, description="Number of jobs that share the labels of a step.")
    packing: PackingSettings | None = Field(
        None,
        description="For clusters: labelling jobs of a stated wall time and size, each with many labels side by side. "
        "How many jobs there are follows from it, and `label_jobs` does not count.",
    )
    imported: list[FilePath] = Field(
        [],
        description="Files of frames that `defectscape import --frames` wrote. Their labels in the store join the "
        "training data; nothing is computed for them.",
    )
    host: HostSettings = Field(description="The perfect crystal.")
    defects: list[DefectSettings] = Field(min_length=1, description="The defects and their charge states.")
    fidelities: FidelitiesSettings = Field(description="The two levels of theory.")
    prior: PriorSettings | None = Field(
        None,
        description="Cheap energies and forces under the model, which then learns only what they leave. Left out, "
        "the model learns the whole.",
    )
    sampling: SamplingSettings = Field(description="Starts and the dense pool.")
    selection: SelectionSettings = Field(description="High-fidelity label budget.")
    exploration: ExplorationSettings = Field(description="Active-learning rounds.")
    search: SearchSettings = Field(description="Final search, with the last round's committee.")
    minima: MinimaSettings = Field(MinimaSettings(), description="Merging and ranking of minima.")
    verification: VerificationSettings = Field(description="High-fidelity checks of the best minima.")
    training: TrainingSettings = Field(description="Training of the final model.")
    thermo: ThermoSettings = Field(description="Formation energies and transition levels.")
    ccd: CcdSettings = Field(CcdSettings(), description="Configuration-coordinate diagrams.")

    @property
    def checks_spin(self) -> bool:
        """Whether ground states are computed at another multiplicity, too: asked for, and the engine tells spins."""
        return self.verification.other_multiplicity and tells_spins(self.fidelities.high.engine)

    @property
    def stated_multiplicities(self) -> dict[DefectKey, int]:
        """Charge states, and a ferromagnet, whose spin multiplicity the study states; the others have the lowest."""
        host = {} if self.host.ferromagnet is None else {HOST_KEY: self.host.ferromagnet}
        return host | {
            DefectKey(defect.name, charge): spin
            for defect in self.defects
            for charge, spin in defect.multiplicities.items()
        }

    @model_validator(mode="before")
    @classmethod
    def _has_its_effort(cls, data: object) -> object:
        return with_effort(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Study":
        low, high = self.fidelities.low.name, self.fidelities.high.name
        if low == high:
            raise ValueError(f"fidelity names clash: low and high are both {low!r}; rename one")
        if self.training.warm_start:
            raise ValueError("training.warm_start: the final model has no round before it; remove it")
        names = [defect.name for defect in self.defects]
        if len(set(names)) != len(names):
            raise ValueError("a defect is listed twice; put all its charges under one entry")
        return self

    @model_validator(mode="after")
    def _first_models_see_both_levels(self) -> "Study":
        if self.exploration.training.strategy == "pretrain_finetune":
            for defect in self.defects:
                if defect.learns == "weights":
                    raise ValueError(
                        f"defects: {defect.name} learns weights, and exploration.training.strategy pretrain_finetune "
                        "starts from weights with the high level alone, so that it would see no low-level label of "
                        f"{defect.name}; let it learn labels"
                    )
        return self

    @model_validator(mode="after")
    def _moments_are_told(self) -> "Study":
        if self.host.ferromagnet is None:
            return self
        for level in (self.fidelities.low, self.fidelities.high):
            if not tells_spins(level.engine):
                raise ValueError(
                    f"host.multiplicity: {self.host.ferromagnet} is a ferromagnet, but the engine of {level.name}, "
                    f"{level.engine.method}, does not tell spins apart; take another engine"
                )
        for defect in self.defects:
            for charge in (*defect.charges, *defect.added_charges):
                if charge not in defect.multiplicities:
                    raise ValueError(
                        f"multiplicities of {defect.name}: none for charge {format_charge(charge)}, and in a "
                        "ferromagnet it is not the lowest; give the unpaired electrons of the whole supercell plus one"
                    )
        return self

    @model_validator(mode="after")
    def _potentials_are_there(self) -> "Study":
        engine = self.fidelities.high.engine
        if self.thermo.correction.kind == "efnv" and engine.kind not in POTENTIAL_ENGINES:
            raise ValueError(
                f"thermo.correction: efnv needs potentials, which the {engine.kind} engine does not give; "
                "use point_charge"
            )
        return self

    @model_validator(mode="after")
    def _prior_leaves_something(self) -> "Study":
        prior = self.prior
        if prior is None or prior.landscape is not None:
            return self
        if prior.engine == self.fidelities.high.engine:
            raise ValueError(
                f"prior.engine is the engine of the high fidelity {self.fidelities.high.name}: the model would have "
                "nothing to learn; take a cheaper engine, or take the prior out"
            )
        if prior.engine == self.fidelities.low.engine:
            for key, training in (("exploration.training", self.exploration.training), ("training", self.training)):
                if training.strategy != "high_only":
                    raise ValueError(
                        f"prior.engine is the engine of the low fidelity {self.fidelities.low.name}: its labels less "
                        f"the prior are zero, and {key}.strategy {training.strategy} trains on them; set "
                        f"{key}.strategy to high_only, which learns the high fidelity less the prior"
                    )
        return self

    @model_validator(mode="after")
    def _prior_counts_once(self) -> "Study":
        if self.prior is None:
            return self
        if getattr(self.prior.engine, "charge_blind", False):
            raise ValueError(
                "prior.engine knows no charge (charge_blind), so it has nothing to say of charges; give it as "
                "prior.landscape, and a Hamiltonian as prior.engine"
            )
        for key, training in (("exploration.training", self.exploration.training), ("training", self.training)):
            if training.foundation is not None:
                raise ValueError(
                    f"{key}.foundation starts from the whole energy surface, and the prior has taken its own off: give "
                    "the potential as prior.landscape, or take the prior out"
                )
        return self

    @model_validator(mode="after")
    def _pairs_are_of_the_study(self) -> "Study":
        states = {d.name: {*d.charges, *d.added_charges} for d in self.defects}
        for name, pairs in (("pairs", self.ccd.pairs or []), ("capture", self.ccd.capture)):
            for pair in pairs:
                if not {pair.initial, pair.final} <= states.get(pair.defect, set()):
                    raise ValueError(
                        f"ccd.{name}: {pair.defect} from {pair.initial:+d} to {pair.final:+d} is not of "
                        "this study; add the charge states to its defects"
                    )
        return self

    @model_validator(mode="after")
    def _captures_have_diagrams(self) -> "Study":
        if self.ccd.pairs is None:
            return self
        drawn = {(pair.defect, frozenset((pair.initial, pair.final))) for pair in self.ccd.pairs}
        for capture in self.ccd.capture:
            if (capture.defect, frozenset((capture.initial, capture.final))) not in drawn:
                raise ValueError(
                    f"ccd.capture: {capture.defect} from {capture.initial:+d} to {capture.final:+d} has no diagram; "
                    "add it to ccd.pairs, or leave ccd.pairs out"
                )
        return self
