"""Sampling: starts, pool, and who is held out."""

from pydantic import Field, field_validator, model_validator

from defectscape.settings.base import Settings


class SamplingSettings(Settings):
    """How starts and the dense pool are made."""

    bond_distortions: list[float] = Field(
        description="Bond distortions of the defect's neighbours, as fractions: -0.4 shortens by 40%."
    )
    dimers: bool = Field(True, description="Also start from dimers of neighbours.")
    split_vacancies: int = Field(
        0,
        ge=0,
        description="For vacancies, also start with an atom of the missing species half way out of a neighbouring "
        "site. The number is that of neighbours tried, each at another distance.",
    )
    off_centre: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="For substitutions and interstitials, also start with the atom moved toward its nearest "
        "neighbour and away from it, by this fraction of the host's bond length. None: not tried.",
    )
    off_centre_A: float | None = Field(None, gt=0, description="A length in place of `off_centre`, A.")
    start_rattle: float = Field(
        0.018,
        gt=0,
        lt=0.5,
        description="Rattle of every start: standard deviation of the displacements as a fraction of the host's bond "
        "length, its shortest interatomic distance. The default is 0.05 A in CdTe and 0.04 A in MgO.",
    )
    start_rattle_A: float | None = Field(None, gt=0, description="A length in place of `start_rattle`, A.")
    shortest_distance_A: float | None = Field(
        None,
        gt=0,
        description="Frames with a shorter interatomic distance are dropped, A. Left out, the limit is 0.65 of the "
        "sum of two atoms' covalent radii: 1.8 A for Cd and Te, 1.6 A for Zn and Se, 1.3 A for Mg and O.",
    )
    rattle_amplitudes: list[float] = Field(
        [0.01, 0.03],
        min_length=1,
        description="Standard deviations of the dense rattles around each start, as fractions of the host's bond "
        "length. Each gives one frame.",
    )
    rattle_amplitudes_A: list[float] | None = Field(
        None, min_length=1, description="Lengths in place of `rattle_amplitudes`, A."
    )
    relaxed_toward: list[float] = Field(
        [],
        description="Further frames are made on the way from a start back to the unperturbed structure, at these "
        "fractions of the way, before the rattle: 0.5 is half way.",
    )
    relaxed_starts: int = Field(
        0,
        ge=0,
        description="Number of starts per defect and charge that the low-fidelity engine relaxes. Every step is a "
        "label and joins the pool. The starts come in turn from families that train and from families that are held "
        "out.",
    )
    relaxation_steps: int = Field(15, gt=0, description="Largest number of steps of each of these relaxations.")
    relaxation_fmax_eV_A: float = Field(
        0.05, gt=0, description="Each of these relaxations ends below this force, eV/A."
    )
    test_fraction: float = Field(
        gt=0,
        lt=0.5,
        description="Fraction of geometry families held out for testing, at least one.",
    )
    valid_fraction: float = Field(
        gt=0,
        lt=0.5,
        description="Fraction of geometry families used for early stopping, at least one.",
    )

    @field_validator("bond_distortions", "relaxed_toward", "rattle_amplitudes")
    @classmethod
    def _are_fractions(cls, values: list[float]) -> list[float]:
        # Whoever knows folders called `Bond_Distortion_-40.0%` writes -40.
        for value in values:
            if not -1 < value < 1:
                raise ValueError(f"a fraction lies between -1 and 1: write {value / 100:g} for {value:g}%")
        return values

    @model_validator(mode="after")
    def _are_not_negative(self) -> "SamplingSettings":
        if min(self.relaxed_toward, default=0) < 0:
            raise ValueError(f"relaxed_toward: {min(self.relaxed_toward):g} leads away from the unperturbed structure")
        for name, values in (
            ("rattle_amplitudes", self.rattle_amplitudes),
            ("rattle_amplitudes_A", self.rattle_amplitudes_A or [1.0]),
        ):
            if min(values) <= 0:
                raise ValueError(f"{name}: {min(values):g} is no standard deviation")
        return self


class SelectionSettings(Settings):
    """Which frames get a high-fidelity label."""

    initial_per_charge: int = Field(
        gt=0, description="High-fidelity labels per defect and charge before the first model."
    )
    initial_per_charge_taught: int | None = Field(
        None,
        gt=0,
        description="The same for charge states that learn from others: those of a defect with `learns`, and "
        "`added_charges`. They may need fewer. None: as many.",
    )
    test_per_charge: int = Field(
        gt=0,
        description="High-fidelity labels per defect and charge for testing, from held-out families.",
    )
    per_charge_per_round: int = Field(
        gt=0,
        description="New high-fidelity labels per defect and charge in each active-learning round.",
    )
    low_per_charge_per_round: int = Field(
        0,
        ge=0,
        description="New low-fidelity labels per defect and charge in each round, of structures that the search "
        "found. The round's high-fidelity frames come first. They teach the model what the pool does not hold. With "
        "them, low-fidelity labels depend on the high-fidelity ones.",
    )
    low_relaxed_minima: int = Field(
        0,
        ge=0,
        description="Number of lowest minima per defect and charge that the low-fidelity engine relaxes after each "
        "round's search, before the next round chooses its frames. Minima that such a relaxation has passed are left "
        "out. If doubtful minima lie lower, as many of them are relaxed, too. Every step is a label, the ends are "
        "chosen first, and later searches also start from them. A label at a minimum of the model shows the error "
        "there; these relaxations also show the way down. Needs `low_per_charge_per_round`.",
    )
    low_relaxation_steps: int = Field(
        10,
        gt=0,
        description="Largest number of steps of each of these relaxations in a round. A step goes to the minimum of "
        "the model's low-fidelity surface, corrected by all labels of that relaxation. "
        "`sampling.relaxation_fmax_eV_A` ends them earlier. Those that have not ended go on in the next round.",
    )
    recharged_per_charge_per_round: int = Field(
        0,
        ge=0,
        description="Structures of the defect's other charge states that each charge state labels in each round, at "
        "their own geometry: ends of the others' low-fidelity relaxations or else their lowest minima; verified minima "
        "of a group that is learned from. The lowest of each charge come first, of the nearest charge before all; as "
        "many again where doubtful minima are among them. The low fidelity labels each of them in both charges, beside "
        "`low_per_charge_per_round`. The high fidelity labels those that are lowest in their own charge, in turn with "
        "the lowest of this one, within `per_charge_per_round`. 0: none.",
    )
    disagreement_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of a round's selection chosen by committee disagreement; the rest by spread.",
    )

    @model_validator(mode="after")
    def _rounds_have_low_labels(self) -> "SelectionSettings":
        if self.low_relaxed_minima and not self.low_per_charge_per_round:
            raise ValueError(
                "low_relaxed_minima asks for low-fidelity labels in the rounds; give low_per_charge_per_round, too"
            )
        return self
