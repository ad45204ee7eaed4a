"""What every stage needs: the study, where its files are, its store and its engines."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from defectscape.domain.frame import Frame
from defectscape.engines.base import Engine
from defectscape.engines.registry import make_engine
from defectscape.settings.engine import Fidelity
from defectscape.settings.groups import Group, find_group
from defectscape.settings.load import load_study
from defectscape.settings.study import Study
from defectscape.store.labels import LabelStore, label_key
from defectscape.store.record import LabelRecord
from defectscape.study.layout import GroupFiles, Layout


@dataclass(frozen=True)
class StudyContext:
    """A loaded study.

    Attributes:
        study: its settings.
        layout: where its files are.
    """

    study: Study
    layout: Layout

    @classmethod
    def load(cls, config: Path, results: Path) -> "StudyContext":
        """Read the config file; files go to ``results/<study>/``."""
        study = load_study(config)
        return cls(study, Layout(results / study.study))

    @cached_property
    def store(self) -> LabelStore:
        """The label store."""
        return LabelStore(self.study.label_store)

    def fidelity(self, level: str) -> Fidelity:
        """The fidelity at ``level``: ``low`` or ``high``."""
        fidelities = self.study.fidelities
        return {"low": fidelities.low, "high": fidelities.high}[level]

    @property
    def fidelity_names(self) -> tuple[str, str]:
        """Names of the low and the high fidelity: the model's heads, in this order."""
        return self.study.fidelities.low.name, self.study.fidelities.high.name

    @cached_property
    def _engines(self) -> dict[str, Engine]:
        return {}

    def engine(self, level: str) -> Engine:
        """The engine of a level; made once, since it may read pseudopotentials."""
        if level not in self._engines:
            self._engines[level] = make_engine(self.fidelity(level).engine)
        return self._engines[level]

    def record(self, frame: Frame, level: str) -> LabelRecord | None:
        """What the store holds of a frame at a level, or None."""
        engine = self.engine(level)
        return self.store.get(label_key(frame, engine.name, engine.settings_of(frame.numbers)))

    def group(self, name: str) -> tuple[Group, GroupFiles]:
        """An exploration group and its files."""
        return find_group(self.study, name), self.layout.group(name)
