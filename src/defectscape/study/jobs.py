"""The jobs of a study, said without Snakemake: of each its stage, whose it is, what it writes, and where its log is.

So that what is done and what is left can be told in a second, while the workflow runs. A test compares them with
the jobs of the workflow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.keys import HOST, DefectKey
from defectscape.settings.groups import Group, label_rounds
from defectscape.settings.study import Study
from defectscape.study.label_counts import job_name, label_jobs
from defectscape.study.layout import GroupFiles, Layout

TOGETHER = ("dataset_final", "train_final", "evaluate", "thermo", "ccd", "ccd_check", "summary", "handover", "report")
"""Stages of all groups together."""

PAGE = tuple(stage for stage in TOGETHER if stage != "handover")
"""Those that a page needs."""


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    Attributes:
        stage: its stage, which is called like its rule.
        arguments: of the stage, as its command has them.
        group: name of its exploration group; None for the host's, and for those of all groups together.
        outputs: files and folders that it writes.
        log, benchmark: Snakemake's files of it.
    """

    stage: str
    arguments: tuple[str, ...]
    group: str | None
    outputs: tuple[Path, ...]
    log: Path
    benchmark: Path

    @property
    def name(self) -> str:
        """The stage with its arguments, less the group: ``label 0 low 1``, ``verify v_Cd_-1``."""
        own = self.arguments if self.group is None else self.arguments[1:]
        return " ".join((self.stage, *own))


def jobs_of_host(study: Study, layout: Layout) -> list[Job]:
    """Jobs of the perfect crystal, in the order of the DAG."""
    make = _Maker(layout, None)
    jobs = [
        make.job("host", (layout.host, layout.unitcell, layout.supercell)),
        make.job("host_labels", (layout.host_labels,)),
        make.job("references", (layout.references,)),
        make.job("sites", (layout.sites,)),
    ]
    if study.host.stability is not None:
        jobs.insert(2, make.job("host_stability", (layout.host_stability,)))
    if study.thermo.correction.kind == "efnv":
        jobs.append(make.job("potentials_host", (layout.potentials(HOST),)))
    return jobs


def jobs_of_group(study: Study, layout: Layout, group: Group) -> list[Job]:
    """Jobs of an exploration group, in the order of the DAG."""
    make, files = _Maker(layout, group), layout.group(group.name)
    jobs = [make.job("starts", (files.starts, files.pool, files.splits))]
    if study.sampling.relaxed_starts:
        jobs += [
            make.job("relax_starts", (files.relaxed(key), files.relaxed_outcomes(key)), str(key)) for key in group.keys
        ]
    rounds = study.exploration.rounds
    for number in range(rounds + 1):
        jobs += _jobs_of_round(study, make, group, number)
    jobs += [
        make.job("search_final", (files.relaxations, files.gates, *_tried(study, files))),
        make.job("minima", (files.minima,)),
        *(make.job("verify", _verdicts(files, key), str(key)) for key in group.keys),
    ]
    if study.checks_spin:
        jobs += [make.job("spin_check", (files.spin_check(key),), str(key)) for key in group.keys]
    if study.thermo.correction.kind == "efnv":
        jobs += [make.job("potentials", (layout.potentials(key),), str(key)) for key in group.keys]
    return jobs


def _tried(study: Study, files: GroupFiles) -> tuple[Path, ...]:
    return () if study.search.until_nothing_new is None else (files.starts_tried,)


def _verdicts(files: GroupFiles, key: DefectKey) -> tuple[Path, ...]:
    return files.verified(key), files.verified_labels(key), files.assessment(key)


def jobs_together(study: Study, layout: Layout) -> list[Job]:
    """Jobs of all groups together, in the order of the DAG."""
    make, final = _Maker(layout, None), layout.final
    return [
        make.job("dataset_final", (final.data_low, final.data_high, layout.final_splits)),
        *(
            make.job("train_final", (final.model(m), final.weights(m), final.history(m)), str(m))
            for m in range(study.training.committee)
        ),
        make.job("evaluate", (layout.errors, layout.calibration, final.gates)),
        make.job("thermo", (layout.energies, layout.thermodynamics)),
        make.job("ccd", (layout.ccd,)),
        make.job("ccd_check", (layout.ccd_check,)),
        make.job("summary", (layout.summary, layout.minima_extxyz, layout.minima_folder)),
        make.job("handover", (layout.handover, layout.model_card)),
        make.job("report", (layout.report, layout.figures, layout.tables)),
    ]


def _jobs_of_round(study: Study, make: "_Maker", group: Group, number: int) -> Iterator[Job]:
    files = make.layout.group(group.name)
    here, word, last = files.round(number), str(number), study.exploration.rounds
    if number and study.selection.low_relaxed_minima:
        for key in group.keys:
            ends = (here.relaxed(key), here.relaxed_ends(key), here.relaxed_outcomes(key))
            yield make.job("relax_minima", ends, word, str(key))
    if number:
        yield make.job("select_round", (here.selected, here.selected_low), word)
    for level in ("low", "high"):
        if (number, level) == (0, "high"):
            yield make.job("select", (here.selected,))
        if number in label_rounds(study, level, last):
            chunks = label_jobs(study, group, level, number)
            for chunk in range(chunks):
                outputs = (here.labels(level, chunk, chunks),)
                yield make.job("label", outputs, word, level, job_name(study, chunk, chunks))
    yield make.job("dataset", (here.data_low, here.data_high, here.jumps("low"), here.jumps("high")), word)
    for member in range(study.exploration.training.committee):
        yield make.job("train", here.of_member(member), word, str(member))
    if number < last:
        standings = () if study.exploration.settled_eV is None else (here.standings,)
        yield make.job("search", (here.relaxations, here.gates, *standings), word)


@dataclass(frozen=True)
class _Maker:
    """Makes the jobs of a group, or of none."""

    layout: Layout
    group: Group | None

    def job(self, stage: str, outputs: tuple[Path, ...], *arguments: str) -> Job:
        given = arguments if self.group is None else (self.group.name, *arguments)
        # A charge state has one potential, whatever its group is called.
        named = arguments if stage == "potentials" else given
        folder, timed = stage, named
        if stage == "label":
            name, number, level, chunk = given
            folder, timed = f"label_{level}", (name, number, chunk)
        return Job(
            stage,
            given,
            None if self.group is None else self.group.name,
            outputs,
            self.layout.logs / stage / f"{'_'.join(named) or 'all'}.log",
            self.layout.benchmarks / folder / f"{'_'.join(timed) or 'all'}.tsv",
        )
