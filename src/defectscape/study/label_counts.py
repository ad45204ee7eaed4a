"""How many labels a study asks for at most, charge state by charge state, from its settings alone."""

from dataclasses import dataclass
from itertools import pairwise

from defectscape.settings.groups import Group, exploration_groups, initial_per_charge
from defectscape.settings.study import Study

STARTS_BESIDES_DISTORTIONS = 2
"""The unperturbed structure and a rattled one."""
EASY_PLAIN = 4
"""Labels of a plain relaxation on a good model's surface: 3 or 4 for the states of the default study."""


@dataclass(frozen=True)
class MostLabels:
    """Labels of one charge state, all at most.

    Attributes:
        starts: relaxation starts.
        pool: low-fidelity labels of the pool.
        relaxed_starts: low-fidelity labels of the relaxations of starts.
        chosen_low: low-fidelity labels chosen in a round, from round 1 on.
        initial: high-fidelity labels chosen before the first training.
        chosen_high: high-fidelity labels chosen in a round, from round 1 on.
        verification: high-fidelity labels of the verification.
        easy_verification: of these, the labels where the state is easy, as most are.
        begun: relaxations of minima with the low-fidelity engine that begin in a round.
        steps: steps of such a relaxation in a round.
    """

    starts: int
    pool: int
    relaxed_starts: int
    chosen_low: int
    initial: int
    chosen_high: int
    verification: int
    easy_verification: int
    begun: int
    steps: int

    def relaxed_minima(self, number: int) -> int:
        """Low-fidelity labels of the relaxations of minima in a round, from round 1 on.

        A relaxation begins with a label, and goes on in later rounds.
        """
        return self.begun * (1 + number * self.steps)


def most_labels(study: Study, group: Group) -> MostLabels:
    """What each charge state of a group is labelled for, at most."""
    sampling, selection = study.sampling, study.selection
    starts = STARTS_BESIDES_DISTORTIONS + len(sampling.bond_distortions) + int(sampling.dimers)
    # A defect is a vacancy or it is not: never both kinds of candidates.
    starts += max(sampling.split_vacancies, 2 if sampling.off_centre_A or sampling.off_centre else 0)
    rattles = (1 + len(sampling.relaxed_toward)) * len(sampling.rattle_amplitudes_A or sampling.rattle_amplitudes)
    # Beside the lowest the unperturbed start, what the model makes of it, and the minimum nearest to the lowest label.
    verified = max(study.verification.minima_per_charge + 3, study.verification.most_per_charge)
    plain = EASY_PLAIN if study.verification.plain_relaxation else 1
    return MostLabels(
        starts=starts,
        pool=starts * (1 + rattles),
        relaxed_starts=sampling.relaxed_starts * sampling.relaxation_steps,
        # Given and taken; doubtful minima come beside as many sure ones.
        chosen_low=selection.low_per_charge_per_round + 4 * selection.recharged_per_charge_per_round,
        initial=initial_per_charge(study, group) + selection.test_per_charge,
        chosen_high=selection.per_charge_per_round,
        verification=verified * (1 + study.verification.relax_steps),
        easy_verification=study.verification.minima_per_charge + plain,
        # Doubtful minima come beside as many sure ones.
        begun=2 * selection.low_relaxed_minima,
        steps=selection.low_relaxation_steps,
    )


def chosen_labels(study: Study, group: Group, level: str, number: int) -> int:
    """Labels of a group's pool, or of what a round chooses for it, at most."""
    most = most_labels(study, group)
    first, later = (most.pool, most.chosen_low) if level == "low" else (most.initial, most.chosen_high)
    return len(group.charges) * (later if number else first)


def label_jobs(study: Study, group: Group, level: str, number: int) -> int:
    """Jobs that the labels of a group's round are spread over.

    It follows from the settings alone, so that the shape of the workflow is known before the first label, and from the
    group's own, so that another defect moves no label of it from job to job.
    """
    if study.packing is None:
        return study.label_jobs
    return study.packing.jobs(chosen_labels(study, group, level, number), level)


def job_name(study: Study, chunk: int, chunks: int) -> str:
    """What tells the labelling jobs of a step apart: a number, with how many there are where that differs."""
    return str(chunk) if study.packing is None else f"{chunk}-of-{chunks}"


def label_counts(study: Study) -> tuple[int, int, int]:
    """Starts per key, low-fidelity and high-fidelity labels of the study, all at most."""
    rounds = study.exploration.rounds
    (low_host, high_host), starts = host_test(study), 0
    low = 1 + low_host
    high = high_host + crystals(study) + diagram_points(study) + potentials(study) + spin_checks(study)
    for group in exploration_groups(study):
        most, keys = most_labels(study, group), len(group.keys)
        starts = most.starts
        cheap = most.pool + most.relaxed_starts + rounds * most.chosen_low
        cheap += sum(most.relaxed_minima(number) for number in range(1, rounds + 1))
        low += keys * cheap
        high += keys * (most.initial + rounds * most.chosen_high + most.verification)
    return starts, low, high


def host_test(study: Study) -> tuple[int, int]:
    """Low-fidelity and high-fidelity labels of the host's test, where the crystal is stable.

    More come where it has to be relaxed within its symmetry first, or falls with the low-fidelity engine.
    """
    settings = study.host.stability
    return (0, 0) if settings is None else (settings.starts * (1 + settings.steps), settings.curvature_labels)


def where_easy(study: Study) -> int:
    """High-fidelity labels that a study does not need where all its states are easy."""
    most = {group: most_labels(study, group) for group in exploration_groups(study)}
    return sum(len(group.keys) * (one.verification - one.easy_verification) for group, one in most.items())


def crystals(study: Study) -> int:
    """The host, its elements and competing phases: high-fidelity labels."""
    references = [*study.thermo.elemental_references.values(), *study.thermo.competing_phases.values()]
    return 1 + sum(reference.energy_eV_per_atom is None for reference in references)


def diagram_points(study: Study) -> int:
    """Points of the diagrams by the high-fidelity engine."""
    charges = [sorted({*d.charges, *d.added_charges}) for d in study.defects]
    neighbours = sum(b - a == 1 for states in charges for a, b in pairwise(states))
    pairs = neighbours if study.ccd.pairs is None else len(study.ccd.pairs)
    return 2 * pairs * study.ccd.engine_points


def potentials(study: Study) -> int:
    """Calculations for potentials at atoms, of the host and of every charge state."""
    states = sum(len({*d.charges, *d.added_charges}) for d in study.defects)
    return 1 + states if study.thermo.correction.kind == "efnv" else 0


def spin_checks(study: Study) -> int:
    """Ground states at another multiplicity, one of every charge state at most."""
    states = sum(len({*d.charges, *d.added_charges}) for d in study.defects)
    return states if study.checks_spin else 0
