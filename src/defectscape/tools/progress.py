"""How far a study is, group by group, looked at from outside: it may be running, here or on a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from defectscape.domain.errors import ConfigError
from defectscape.settings.groups import Group, exploration_groups
from defectscape.settings.load import read_study
from defectscape.settings.paths import home
from defectscape.settings.study import Study
from defectscape.study.jobs import jobs_of_group, jobs_of_host, jobs_together
from defectscape.study.layout import PARTIAL, Layout
from defectscape.study.names import load_named_study
from defectscape.study.progress import JobProgress, Snakemake, State, progress_of, stopped_at
from defectscape.study.unfinished import Unfinished

RESULTS = Path("results")
TAUGHT = "train"
"""The first stage of a group that needs what other defects teach it."""
WORDS: dict[State, str] = {
    "done": "done",
    "running": "running",
    "queued": "queued",
    "failed": "failed",
    "left": "not begun",
}


@dataclass(frozen=True)
class Progress:
    """A study and how far its jobs are.

    Attributes:
        study: its settings.
        folder: where its relative paths start, which is Snakemake's working directory.
        layout: where its files are.
        snakemake: what Snakemake says.
        host: jobs of the perfect crystal.
        groups: jobs of each exploration group.
        together: jobs of all groups together.
    """

    study: Study
    folder: Path
    layout: Layout
    snakemake: Snakemake
    host: list[JobProgress]
    groups: list[tuple[Group, list[JobProgress]]]
    together: list[JobProgress]

    @classmethod
    def look(cls, config: Path, results: Path = RESULTS) -> "Progress":
        """Look at a study's files.

        Args:
            config: the study's file.
            results: folder of all studies' results; the default is meant from where the study's paths start.
        """
        folder = home(read_study(config), config)
        found = folder / results if results == RESULTS else results
        study = load_named_study(config, found)
        layout = Layout(found / study.study)
        snakemake = Snakemake.look((folder, layout.folder.parent.parent))
        groups = [
            (group, progress_of(jobs_of_group(study, layout, group), snakemake)) for group in exploration_groups(study)
        ]
        host = progress_of(jobs_of_host(study, layout), snakemake)
        together = progress_of(jobs_together(study, layout), snakemake)
        return cls(study, folder, layout, snakemake, host, groups, together)

    @property
    def jobs(self) -> list[JobProgress]:
        """All jobs."""
        return [*self.host, *(item for _, found in self.groups for item in found), *self.together]

    def shown(self, path: Path) -> str:
        """A path as it is shown and written: from where the study's paths start."""
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The groups that are not finished, each with the job that stopped it or that it has come to."""
        found: dict[str, Unfinished] = {}
        for group, progress in self.groups:
            teachers = [found[name] for name in group.taught_by if name in found]
            stop = _begins(progress) if teachers and stopped_at(progress) is None else stopped_at(progress)
            if stop is not None:
                reason = stop.reason
                if teachers and stop.job.stage == TAUGHT and stop.state in ("left", "done"):
                    reason = _waits_for(teachers)
                state = "left" if stop.state == "done" else stop.state
                log = self.shown(stop.job.log)
                found[group.name] = Unfinished(group.name, group.keys, stop.job.name, state, reason, log)
        return tuple(found.values())


def _begins(progress: Sequence[JobProgress]) -> JobProgress:
    """The first training of a group: where a group that is done begins again when its teachers end."""
    return next(item for item in progress if item.job.stage == TAUGHT)


def _waits_for(teachers: Sequence[Unfinished]) -> str:
    """Why a group goes no further, in words."""
    # A teacher may itself wait for one that failed, which is a teacher of this group, too.
    stop = next((item for item in teachers if item.state == "failed"), teachers[0])
    far = "has failed" if stop.state == "failed" else f"is {WORDS[stop.state]}"
    return f"it learns from {stop.group}, whose job {stop.stage} {far}"


def partial_layout(progress: Progress) -> Layout:
    """Where the page of the finished groups goes.

    Raises:
        ConfigError: if there can be none, or if the whole study's page is what is meant.
    """
    stop, missing = stopped_at(progress.host), progress.unfinished
    if stop is not None:
        raise ConfigError(
            "report --partial",
            f"the job {stop.job.name} of the perfect crystal is {WORDS[stop.state]}, which every page needs",
            f"Run the study; its log is {progress.shown(stop.job.log)}",
        )
    if len(missing) == len(progress.groups):
        first = missing[0]
        raise ConfigError(
            "report --partial",
            f"no defect is finished; {first.group} is at the job {first.stage} ({WORDS[first.state]})",
            f"Run the study; the log of that job is {first.log}",
        )
    if not missing:
        last = stopped_at(progress.together)
        raise ConfigError(
            "report --partial",
            f"all defects are finished{'' if last is None else f'; the job {last.job.name} is {WORDS[last.state]}'}",
            "`defectscape run` makes the page of the whole study"
            if last is not None
            else f"The page is {progress.shown(progress.layout.report)}",
        )
    return Layout(progress.layout.folder, PARTIAL)
