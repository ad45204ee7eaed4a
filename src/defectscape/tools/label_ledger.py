"""The labels of a study so far, charge state by charge state, from the files of its jobs and the records of its store.

For a study that may be running: nothing is computed or written, and no engine is started where the store says what the
study's labels are of.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from defectscape.domain.errors import DefectscapeError
from defectscape.domain.frame import Frame
from defectscape.domain.keys import HOST, DefectKey
from defectscape.files.codec import decode
from defectscape.files.extxyz import read_frames
from defectscape.files.tables import read_json
from defectscape.sampling.host import host_frame
from defectscape.settings.groups import Group
from defectscape.store.journal import Call
from defectscape.store.labels import label_key
from defectscape.store.record import LabelRecord
from defectscape.study.context import StudyContext
from defectscape.study.diagrams import read_diagram_checks
from defectscape.study.host import read_host
from defectscape.study.host_stability import read_host_stability
from defectscape.study.label_counts import (
    MostLabels,
    crystals,
    diagram_points,
    host_test,
    label_jobs,
    most_labels,
    potentials,
    spin_checks,
)
from defectscape.study.labels import Outcome, outcome_of
from defectscape.study.potentials import read_potentials_if_any
from defectscape.study.progress import JobProgress
from defectscape.study.references import HostLabels, ReferenceLabel, References
from defectscape.study.spin_checks import read_spin_check

Level = str
"""``low`` or ``high``."""

HOST_TEST = "host test"
_HEADER = re.compile(r'total_charge=(-?\d+) .*?frame_id="?([0-9a-f]+)"?')


@dataclass(frozen=True)
class LabelRow:
    """Labels of a charge state, or of what else is labelled, at one fidelity.

    Attributes:
        of: the defect key; ``host``, ``host test``, ``potentials``, ``other spins``, or ``diagrams``.
        fidelity: name of the fidelity.
        done, failed: labels in the store, and calculations that failed for good.
        core_s: what they took whenever they were computed, core-seconds.
        timed: labels of which that is known; imported ones do not say it.
        expected: labels that the study asks for here, those done and failed included.
        exact: whether it is this many; else it is at most this many.
    """

    of: str
    fidelity: str
    done: int = 0
    failed: int = 0
    core_s: float = 0.0
    timed: int = 0
    expected: int = 0
    exact: bool = True

    @property
    def left(self) -> int:
        """Labels to come, at most."""
        return max(0, self.expected - self.done - self.failed)

    def with_labels(self, labels: Sequence[ReferenceLabel], expected: int) -> "LabelRow":
        """The row of a crystal's labels, all of which are there."""
        core_s = sum(item.core_s for item in labels)
        timed = sum(item.core_s > 0 for item in labels)
        return replace(self, done=len(labels), core_s=core_s, timed=timed, expected=max(expected, len(labels)))


@dataclass
class _Tally:
    """What is counted of a charge state at a fidelity; a label that comes twice counts once."""

    seen: dict[str, Outcome] = field(default_factory=dict)
    expected: int = 0
    exact: bool = True

    def expect(self, labels: int, *, exact: bool) -> None:
        self.expected += labels
        self.exact = self.exact and (exact or not labels)

    def add(self, outcome: Outcome) -> None:
        if self.seen.setdefault(outcome.key, outcome) is not outcome:
            self.expected -= 1

    def row(self, of: str, fidelity: str) -> LabelRow:
        found = self.seen.values()
        return LabelRow(
            of,
            fidelity,
            done=sum(item.failure is None for item in found),
            failed=sum(item.failure is not None for item in found),
            core_s=sum(item.core_s for item in found),
            timed=sum(item.core_s > 0 and item.failure is None for item in found),
            expected=max(self.expected, len(self.seen)),
            exact=self.exact,
        )


class LabelLedger:
    """Counts the labels of a study.

    Args:
        context: the study.
    """

    def __init__(self, context: StudyContext) -> None:
        self.context = context
        self.keys_seen: dict[Level, list[str]] = {"low": [], "high": []}
        """Keys of labels that are there, by level."""
        self._settings: dict[tuple[Level, frozenset[int]], tuple[str, str] | None] = {}

    def _most(self, group: Group) -> MostLabels:
        return most_labels(self.context.study, group)

    @cached_property
    def _calls(self) -> list[Call]:
        return self.context.store.calls()

    def host_rows(self) -> list[LabelRow]:
        """The perfect crystal, elements and competing phases; potentials; points of diagrams."""
        context, layout = self.context, self.context.layout
        low, high = (LabelRow(HOST, name) for name in context.fidelity_names)
        rows = [replace(low, expected=1), replace(high, expected=crystals(context.study))]
        if layout.host_labels.is_file():
            own: HostLabels = decode(HostLabels, read_json(layout.host_labels))
            rows = [low.with_labels([own.low], 1), high.with_labels([own.high], crystals(context.study))]
            for level, label in (("low", own.low), ("high", own.high)):
                self._learn(level, label.key)
        if layout.references.is_file():
            found: References = decode(References, read_json(layout.references))
            rows[1] = high.with_labels([found.bulk_high, *found.elements, *found.phases], crystals(context.study))
        return [*rows, *self._test_rows(), *self._other_rows(high.fidelity)]

    def _test_rows(self) -> Iterator[LabelRow]:
        """Labels of the host's test; those of the perfect supercell count as the host's."""
        known = self.context.layout.host_stability.is_file()
        found = read_host_stability(self.context) if known else None
        host = self.context.study.host
        perfect = host_frame(read_host(self.context), host.ferromagnet).frame_id if found else ""
        outcomes = ((), ()) if found is None else (found.low, found.high)
        for name, made, most in zip(self.context.fidelity_names, outcomes, host_test(self.context.study), strict=True):
            tally = _Tally({item.key: item for item in made if item.frame_id != perfect})
            tally.expect(0 if found else most, exact=found is not None)
            if most:
                yield tally.row(HOST_TEST, name)

    def _other_rows(self, fidelity: str) -> Iterator[LabelRow]:
        study, layout = self.context.study, self.context.layout
        if potentials(study):
            names = [HOST, *(str(key) for _, key in self.context.keys)]
            # One that failed has a file, too, which says so.
            files = [name for name in names if layout.potentials(name).is_file()]
            made = [item for name in files if (item := read_potentials_if_any(self.context, name)) is not None]
            yield LabelRow(
                "potentials",
                fidelity,
                done=len(made),
                failed=len(files) - len(made),
                core_s=sum(item.core_s for item in made),
                timed=sum(item.core_s > 0 for item in made),
                expected=potentials(study),
            )
        if spin_checks(study):
            yield self._spin_row(fidelity)
        if diagram_points(study):
            known = layout.ccd_check.is_file()
            checks = read_diagram_checks(self.context).values() if known else ()
            curves = [curve for check in checks for curve in (check.initial, check.final)]
            done = sum(len(curve.points) for curve in curves)
            failed = sum(curve.failed for curve in curves)
            yield LabelRow(
                "diagrams",
                fidelity,
                done=done,
                failed=failed,
                core_s=sum(curve.core_s for curve in curves),
                timed=done,
                expected=done + failed if known else diagram_points(study),
                exact=known,
            )

    def _spin_row(self, fidelity: str) -> LabelRow:
        """Ground states at another multiplicity; those whose electrons are paired need none."""
        context = self.context
        ended = [(g.name, key) for g, key in context.keys if context.layout.group(g.name).spin_check(key).is_file()]
        found = [check for name, key in ended if (check := read_spin_check(context, name, key)) is not None]
        to_come = spin_checks(context.study) - len(ended)
        return LabelRow(
            "other spins",
            fidelity,
            done=sum(check.other_eV is not None for check in found),
            failed=sum(check.other_eV is None for check in found),
            core_s=sum(check.core_s for check in found),
            timed=sum(check.core_s > 0 for check in found),
            expected=len(found) + to_come,
            exact=not to_come,
        )

    def group_rows(self, group: Group, progress: Sequence[JobProgress]) -> list[LabelRow]:
        """Labels of a group's charge states, low fidelity and high."""
        tallies = {(key, level): _Tally() for key in group.keys for level in ("low", "high")}
        labelling = [item for item in progress if item.job.stage == "label"]
        for number, level in dict.fromkeys((int(i.job.arguments[1]), i.job.arguments[2]) for i in labelling):
            mine = [item for item in labelling if item.job.arguments[1:3] == (str(number), level)]
            self._count_chosen(group, tallies, number, level, mine)
        for item in progress:
            if item.job.stage in ("relax_starts", "relax_minima", "verify"):
                key = DefectKey.parse(item.job.arguments[-1])
                level = "high" if item.job.stage == "verify" else "low"
                self._count_relaxed(tallies[key, level], item, key, level, self._most(group))
        for (_, level), tally in tallies.items():
            self.keys_seen[level] += [key for key, outcome in tally.seen.items() if outcome.failure is None]
        names = dict(zip(("low", "high"), self.context.fidelity_names, strict=True))
        return [tally.row(str(key), names[level]) for (key, level), tally in tallies.items()]

    def _count_chosen(
        self,
        group: Group,
        tallies: dict[tuple[DefectKey, Level], _Tally],
        number: int,
        level: Level,
        progress: Sequence[JobProgress],
    ) -> None:
        """The pool, or what a round chose: which frames these are is known as soon as they are chosen."""
        source = self.context.layout.group(group.name).to_label(level, number)
        if not source.is_file():
            most = self._most(group)
            first = most.pool if level == "low" else most.initial
            later = most.chosen_low if level == "low" else most.chosen_high
            for key in group.keys:
                tallies[key, level].expect(later if number else first, exact=False)
            return
        keys = frame_keys(source, group.defect)
        for key in keys.values():
            tallies[key, level].expect(1, exact=True)
        for item in progress:
            chunk = int(item.job.arguments[3].partition("-")[0])
            part = chunk, label_jobs(self.context.study, group, level, number)
            for frame_id, outcome in self._outcomes(item, level, source, part):
                # Of frames that were chosen anew since, the job's outcomes are not; it will run again.
                if frame_id in keys:
                    tallies[keys[frame_id], level].add(outcome)

    def _outcomes(
        self, item: JobProgress, level: Level, source: Path, part: tuple[int, int]
    ) -> Iterator[tuple[str, Outcome]]:
        """What became of the labels of a job, which part of how many; if it has not ended, those that the store has."""
        chunk, chunks = part
        (path,) = item.job.outputs
        if item.state == "done":
            found = _read_outcomes(path)
            if found:
                self._learn(level, found[0].key)
            yield from ((outcome.frame_id, outcome) for outcome in found)
            return
        for frame in read_frames(source):
            if int(frame.frame_id, 16) % chunks == chunk:
                record = self._record(frame, level)
                if record is not None:
                    yield frame.frame_id, outcome_of(record)

    def _count_relaxed(self, tally: _Tally, item: JobProgress, key: DefectKey, level: Level, most: MostLabels) -> None:
        """A relaxation, whose frames are known when it has ended."""
        expected = {
            "relax_starts": most.relaxed_starts,
            "relax_minima": most.relaxed_minima(int(item.job.arguments[1])) if len(item.job.arguments) > 2 else 0,
            "verify": most.verification,
        }[item.job.stage]
        if item.state != "done":
            tally.expect(expected, exact=False)
            for made in self._made_since(_begun_s(item), key, level):
                tally.seen.setdefault(made.key, outcome_of(made))
            return
        if item.job.stage == "verify":
            frames = read_frames(item.job.outputs[1])
            records = [record for frame in frames if (record := self._record(frame, level)) is not None]
            outcomes: Iterable[Outcome] = list(map(outcome_of, records))
        else:
            outcomes = _read_outcomes(item.job.outputs[-1])
        for outcome in outcomes:
            tally.expect(1, exact=True)
            tally.add(outcome)

    def _made_since(self, begun_s: float | None, key: DefectKey, level: Level) -> list[LabelRecord]:
        """Labels of a charge state that an engine was called for since a job began."""
        if begun_s is None:
            return []
        begun = datetime.fromtimestamp(begun_s, UTC).isoformat(timespec="milliseconds")
        names = {
            call.key: None
            for call in self._calls
            if (call.defect, call.charge) == (key.defect, key.charge) and call.timestamp >= begun
        }
        records = [record for name in names if (record := self.context.store.get(name)) is not None]
        return [r for r in records if (r.engine, r.settings) == self._engine_of(level, r.frame)]

    def _record(self, frame: Frame, level: Level) -> LabelRecord | None:
        known = self._engine_of(level, frame)
        return None if known is None else self.context.store.get(label_key(frame, *known))

    def _engine_of(self, level: Level, frame: Frame) -> tuple[str, str] | None:
        """Name and settings of the engine that labels a frame, as records of frames of its elements have them."""
        place = level, frozenset(frame.numbers.tolist())
        if place not in self._settings:
            try:
                engine = self.context.engine(level)
                self._settings[place] = engine.name, engine.settings_of(frame.numbers)
            except DefectscapeError:
                # A node that has not the engine: what the store has of these frames cannot be told here.
                self._settings[place] = None
        return self._settings[place]

    def _learn(self, level: Level, key: str) -> None:
        record = self.context.store.get(key)
        if record is not None:
            self._settings[level, frozenset(record.frame.numbers.tolist())] = record.engine, record.settings


def frame_keys(path: Path, defect: str) -> dict[str, DefectKey]:
    """Defect keys of the frames in a file, by frame: from the lines that name them alone."""
    found = _HEADER.findall(path.read_text(encoding="utf-8"))
    return {frame_id: DefectKey(defect, int(charge)) for charge, frame_id in found}


def _read_outcomes(path: Path) -> list[Outcome]:
    return [decode(Outcome, row) for row in read_json(path)]


def _begun_s(item: JobProgress) -> float | None:
    """When a job began, seconds since the epoch: it was handed out then, or its log's first line was written."""
    if item.since_s is not None:
        return item.since_s
    try:
        with item.job.log.open(encoding="utf-8", errors="replace") as file:
            return datetime.strptime(file.readline()[:19], "%Y-%m-%d %H:%M:%S").timestamp()
    except (OSError, ValueError):
        return None
