"""What every stage needs: the study, where its files are, its store and its engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import Engine
from defectscape.engines.labelling import label_frame, label_frames
from defectscape.engines.prior import EnginePrior
from defectscape.engines.registry import make_engine
from defectscape.engines.side_by_side import Room, label_side_by_side
from defectscape.settings.engine import FidelitySettings
from defectscape.settings.groups import Group, exploration_groups, find_group
from defectscape.settings.program import Program
from defectscape.settings.study import Study
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LabelRecord
from defectscape.study.layout import PARTIAL, GroupFiles, Layout
from defectscape.study.names import load_named_study
from defectscape.study.unfinished import Unfinished, read_unfinished

PRIORS = "priors"
"""Folder in the label store: the store of the priors' own values."""


@dataclass(frozen=True)
class StudyContext:
    """A loaded study.

    Attributes:
        study: its settings.
        layout: where its files are.
        processes: cores of the job, for a prior and for packed labels, or None for as many as the study says.
        ends_at: when the job must have ended, Unix time, s; None where nobody ends it.
    """

    study: Study
    layout: Layout
    processes: int | None = None
    ends_at: float | None = None

    @classmethod
    def load(
        cls,
        config: Path,
        results: Path,
        processes: int | None = None,
        *,
        partial: bool = False,
        ends_at: float | None = None,
    ) -> "StudyContext":
        """Read the config file; files go to ``results/<study>/``.

        Args:
            config: the study's file.
            results: folder of all studies' results.
            partial: whether what is made of all groups together is made of the finished ones alone.
            processes: cores of the job, for a prior and for packed labels; None for as many as the study says.
            ends_at: when the job must have ended.
        """
        study = load_named_study(config, results)
        return cls(study, Layout(results / study.study, PARTIAL if partial else ""), processes, ends_at)

    @cached_property
    def store(self) -> LabelStore:
        """The label store."""
        return LabelStore(self.study.label_store)

    def fidelity_settings(self, fidelity: str) -> FidelitySettings:
        """The settings of the ``low`` or the ``high`` fidelity."""
        fidelities = self.study.fidelities
        return {"low": fidelities.low, "high": fidelities.high}[fidelity]

    @property
    def fidelity_names(self) -> tuple[str, str]:
        """Names of the low and the high fidelity, in this order. The model's heads have them, too."""
        return self.study.fidelities.low.name, self.study.fidelities.high.name

    @cached_property
    def _engines(self) -> dict[str, Engine]:
        return {}

    def engine(self, fidelity: str) -> Engine:
        """The engine of a fidelity; made once, since it may read pseudopotentials."""
        if fidelity not in self._engines:
            self._engines[fidelity] = make_engine(self.fidelity_settings(fidelity).engine)
        return self._engines[fidelity]

    @cached_property
    def prior(self) -> EnginePrior | None:
        """The prior under the model, with a label store of its own beside the labels; None if there is none."""
        settings = self.study.prior
        if settings is None:
            return None
        store = LabelStore(self.store.root / PRIORS)
        return EnginePrior(settings, store, self.processes or settings.processes)

    def record(self, frame: Frame, fidelity: str) -> LabelRecord | None:
        """What the store holds of a frame at a fidelity, or None."""
        engine = self.engine(fidelity)
        return self.store.get(label_key(frame, engine.name, engine.settings_of(frame.numbers)))

    def label(self, frame: Frame, fidelity: str, engine: Engine | None = None) -> LabelRecord:
        """The record of a frame: from the store, or computed and stored.

        Args:
            frame: what to label.
            level: ``low`` or ``high``.
            engine: in place of the fidelity's own, for a crystal with a k-point mesh of its own.
        """
        limit_eV_A = self.fidelity_settings(fidelity).max_force_eV_A
        return label_frame(frame, engine or self.engine(fidelity), self.store, limit_eV_A)

    def label_many(self, frames: Sequence[Frame], fidelity: str, progress: str) -> list[LabelRecord]:
        """The records of many frames, in their order; ``progress`` names the work in the log."""
        limit_eV_A = self.fidelity_settings(fidelity).max_force_eV_A
        return label_frames(frames, self.engine(fidelity), self.store, limit_eV_A, progress)

    def label_job(self, frames: Sequence[Frame], fidelity: str, progress: str) -> list[LabelRecord]:
        """As ``label_many``, for a labelling job: side by side, and until the job's end, where the study packs labels.

        Raises:
            JobError: if labels are left when the job must end.
        """
        if self.study.packing is None:
            return self.label_many(frames, fidelity, progress)
        settings, cost = self.fidelity_settings(fidelity), self.study.packing.cost(fidelity)
        room = Room(
            cores=self.processes or self.study.packing.job_cores,
            label_cores=cost.label_cores,
            # A program's command says how many ranks it has, and by `env` what else it needs.
            threads=1 if isinstance(settings.engine, Program) else cost.label_cores,
            label_s=cost.label_s,
            ends_at=self.ends_at,
        )

        def make() -> Engine:
            return make_engine(settings.engine)

        return label_side_by_side(frames, make, self.store, settings.max_force_eV_A, progress, room)

    def trainable_label(self, frame: Frame, fidelity: str) -> Label | None:
        """The label of a frame, computed if need be; None if it failed or must not train."""
        record = self.label(frame, fidelity)
        return record.label if record.trainable else None

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The exploration groups, those that others learn from first; for a partial page, those that are finished."""
        missing = {item.group for item in self.unfinished}
        return tuple(group for group in exploration_groups(self.study) if group.name not in missing)

    @cached_property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The groups that a partial page lacks; none for the whole study."""
        return read_unfinished(self.layout)

    @cached_property
    def keys(self) -> tuple[tuple[Group, DefectKey], ...]:
        """Every defect in every charge state with its group, in the study's order."""
        return tuple((group, key) for group in self.groups for key in group.keys)

    def group(self, name: str) -> tuple[Group, GroupFiles]:
        """An exploration group and its files."""
        return find_group(self.study, name), self.layout.group(name)
