"""What a study would do, before it does anything: checks, counts of labels, estimated time."""

import logging
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from defectscape.domain.errors import ConfigError, EngineError, HostError
from defectscape.domain.keys import DefectKey
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.domain.spelling import has_interstitials
from defectscape.engines.charge_check import charge_blind_lines
from defectscape.sampling.charge_states import propose_charges
from defectscape.sampling.electrons import added_atoms, check_host_spin, mixed_spins, spin_warning, untold_spins
from defectscape.sampling.host import host_frame, read_host_file
from defectscape.sampling.pairs import with_pairs
from defectscape.sampling.site_names import SiteWords, describe_sites, pick_site
from defectscape.sampling.sites import enumerate_sites
from defectscape.sampling.splits import FEWEST_FAMILIES
from defectscape.settings.engine import tells_spins
from defectscape.settings.groups import exploration_groups, label_rounds
from defectscape.settings.paths import check_files
from defectscape.settings.program import Program
from defectscape.settings.study import Study
from defectscape.study.context import StudyContext
from defectscape.study.host import dopants_of, known_host
from defectscape.study.label_counts import label_counts, label_jobs, where_easy
from defectscape.tools.check_inputs import check_inputs, check_starts, unusual_charges
from defectscape.tools.check_limits import check_limits
from defectscape.tools.check_prior import engines_of, measure_prior
from defectscape.tools.imported_data import check_imported, unused_imported

logger = logging.getLogger(__name__)

MOST_FOR_INTERSTITIALS = 60
"""Atoms of a unit cell whose interstitials are found in seconds: they are listed though none is asked for."""


@dataclass(frozen=True)
class FidelityPlan:
    """Labels of one fidelity.

    Attributes:
        fidelity, method: name of the fidelity and the engine's method.
        labels: how many at most.
        easy_labels: how many where all states are easy: each verification ends with its first relaxations.
        core_s_per_label: mean of the store's labels with these settings and this number of atoms,
            core-seconds; None where there is none yet.
        known: how many labels that mean is of.
    """

    fidelity: str
    method: str
    labels: int
    easy_labels: int
    core_s_per_label: float | None
    known: int


@dataclass(frozen=True)
class Plan:
    """What would run.

    Attributes:
        host: the validated crystal, before any relaxation.
        sites: all point defects the host can have, with what tells them apart.
        pairs: the pairs that the study names.
        proposed: charge states proposed for each, by name.
        keys: what is asked for.
        starts_per_key: relaxation starts per defect and charge, at most.
        fidelities: the low and the high one.
        trainings: number of trainings.
        missing_programs: programs of the engines that are not on this machine.
        warnings: what may make a number wrong, in words.
    """

    host: HostCrystal
    sites: tuple[SiteWords, ...]
    pairs: tuple[DefectSite, ...]
    proposed: Mapping[str, tuple[int, ...]]
    keys: tuple[DefectKey, ...]
    starts_per_key: int
    fidelities: tuple[FidelityPlan, FidelityPlan]
    trainings: int
    missing_programs: tuple[str, ...]
    warnings: tuple[str, ...]


def _missing_programs(study: Study) -> tuple[str, ...]:
    """First words of the engines' commands that this machine does not know."""
    engines = (
        study.fidelities.low.engine,
        study.fidelities.high.engine,
        *(engine for _, engine in engines_of(study.prior)),
    )
    words = [shlex.split(e.command)[0] for e in engines if isinstance(e, Program)]
    return tuple(word for word in dict.fromkeys(words) if shutil.which(word) is None)


Times = dict[str, list[float]]


def _label_times(context: StudyContext, atoms: int) -> Times:
    """Core-seconds of the store's labels of about as many atoms, by fidelity of the study.

    One pass over the store, which also finds a damaged record before anything is computed.
    """
    times: Times = {"low": [], "high": []}
    for record in context.store.records():
        # Imported labels do not say what they cost, which is not nothing.
        if record.label is None or record.core_s <= 0 or abs(len(record.frame) - atoms) > 2:
            continue
        for fidelity, seconds in times.items():
            engine = context.engine(fidelity)
            mine = (engine.name, engine.settings_of(record.frame.numbers))
            if (record.engine, record.settings) == mine:
                seconds.append(record.core_s)
    return times


def _plan_of(context: StudyContext, fidelity: str, labels: int, spared: int, times: Times) -> FidelityPlan:
    """What is known of the cost of a fidelity's labels, of which some are spared where states are easy."""
    settings, seconds = context.fidelity_settings(fidelity), times[fidelity]
    mean = sum(seconds) / len(seconds) if seconds else None
    return FidelityPlan(settings.name, settings.engine.method, labels, labels - spared, mean, len(seconds))


def _check_foundations(study: Study) -> None:
    """The foundation files are there, and of the architecture that the trainings have."""
    for training in (study.exploration.training, study.training):
        if training.foundation is not None:
            from defectscape.model.foundation import check_architecture

            check_architecture(training)


def _check_families(study: Study) -> None:
    """There must be geometry families to train, to validate and to test."""
    starts = label_counts(study)[0]
    if starts < FEWEST_FAMILIES:
        raise ConfigError(
            "sampling",
            f"{starts} starts for each defect and charge",
            "Add sampling.bond_distortions: some must train, one validate and one test",
        )


def _sites(study: Study, host: HostCrystal) -> tuple[DefectSite, ...]:
    """The host's defects; interstitials also where none is asked for, if that is easy."""
    foreign = dopants_of(study, host)
    asked = has_interstitials(defect.name for defect in study.defects)
    if asked or len(host.unit_numbers) > MOST_FOR_INTERSTITIALS:
        return enumerate_sites(host, interstitials=asked, extrinsic=foreign)
    try:
        return enumerate_sites(host, interstitials=True, extrinsic=foreign)
    except HostError as error:
        logger.info("interstitials are not listed: %s", error)
        return enumerate_sites(host, extrinsic=foreign)


def make_plan(context: StudyContext, *, measure: bool = False) -> Plan:
    """Check the study's config, host, defects and engines, and count what would run.

    Args:
        measure: compute one label of the perfect supercell at each fidelity (it stays in the store), so
            that there is a time to estimate with; and ask the prior for it, neutral and charged.

    Raises:
        DefectscapeError: for the first thing that is wrong, before any label of a defect is computed.
    """
    study = context.study
    check_files(study)
    engines = {fidelity: context.engine(fidelity) for fidelity in ("low", "high")}
    for fidelity, engine in engines.items():
        # An engine in another Python starts there to know its version, and says what it lacks.
        logger.info("%s fidelity: %s", fidelity, engine.version)
    prior = context.prior  # its engines are made here, so that one that is not there is found now
    host = read_host_file(study.host)
    warnings = (*check_inputs(study, host), *charge_blind_lines(study.fidelities))
    points = _sites(study, host)
    sites = with_pairs(host, points, (defect.name for defect in study.defects))
    proposed = {found.site.name: found.charges for found in propose_charges(host, sites)}
    for defect in study.defects:
        pick_site(sites, defect.name, host)
    known = known_host(context, host)
    check_imported(study, known or host, sites, cell_known=known is not None)
    check_host_spin(host, study.host.multiplicity, added_atoms(defect.name for defect in study.defects))
    _check_families(study)
    _check_foundations(study)
    check_starts(study, host, sites)
    times = _label_times(context, len(host.numbers))
    if measure:
        for fidelity in engines:
            record = context.label(host_frame(host, study.host.ferromagnet), fidelity)
            if record.label is None:
                raise EngineError(
                    f"{context.fidelity_settings(fidelity).name} label of the perfect supercell",
                    f"failed: {record.failure}",
                    "Change the engine's settings: no defect is labelled before the host is",
                )
        times = _label_times(context, len(host.numbers))
        if prior is not None:
            warnings = (*warnings, *measure_prior(context, host))
    check_limits(context, host)
    starts, low, high = label_counts(study)
    rounds = study.exploration.rounds + 1
    groups = exploration_groups(study)
    keys = tuple(key for group in groups for key in group.keys)
    warnings = (*warnings, *unused_imported(study, keys), *unusual_charges(study, proposed))
    told = tells_spins(study.fidelities.high.engine)
    stated = study.stated_multiplicities
    spins = spin_warning(host, sites, [key for key in keys if key not in stated], checked=study.checks_spin, told=told)
    warnings = (*warnings, *mixed_spins(host, sites, keys, stated))
    if stated and not told:
        warnings = (*warnings, untold_spins(stated, study.fidelities.high.engine.method))
    trainings = len(groups) * rounds * study.exploration.training.committee
    return Plan(
        host,
        describe_sites(host, points),
        sites[len(points) :],
        proposed,
        keys,
        starts,
        (_plan_of(context, "low", low, 0, times), _plan_of(context, "high", high, where_easy(study), times)),
        trainings + study.training.committee,
        _missing_programs(study),
        warnings if spins is None else (*warnings, spins),
    )


def packing_lines(study: Study, plan: Plan) -> Iterator[str]:
    """The labelling jobs of a study that packs labels, and what it says of a label's time beside what was measured."""
    packing = study.packing
    if packing is None:
        return
    for level, part in zip(("low", "high"), plan.fidelities, strict=True):
        cost, rounds = packing.cost(level), label_rounds(study, level, study.exploration.rounds)
        jobs = sum(label_jobs(study, group, level, number) for group in exploration_groups(study) for number in rounds)
        known_s = part.core_s_per_label
        measured = "" if known_s is None else f" (the store's: {known_s / cost.label_cores:.1f} s)"
        yield (
            f"{part.fidelity}: {jobs} job{'s' if jobs > 1 else ''} of {packing.job_minutes} minutes and "
            f"{packing.job_cores} cores, {packing.side_by_side(level)} labels at a time, "
            f"{cost.label_s:g} s each{measured}"
        )
