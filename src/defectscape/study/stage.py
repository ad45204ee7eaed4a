"""What is said of a stage, and which settings a job of it depends on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from defectscape.settings.study import Study

Kind = Literal["engine", "training", "relaxation", "other"]
"""What a job's time is spent on; ``other`` is the workflow's own work."""

Argument = Literal["group", "round", "fidelity", "chunk", "member", "key"]
"""What a stage is called with, beside the study."""

Wildcards = Mapping[str, str]
"""The wildcards of a rule's job, by name."""


@dataclass(frozen=True)
class Part:
    """A stage that depends on a part of a block of settings, or on the block under a condition.

    Attributes:
        block: dotted name of the block that the stage reads.
        value: what of it matters to a job; equal values do not run the job again.
        without: names in the block that the stage does not read.
        added: whether a later version made the stage read it: where nothing of it matters (None), it is not part of
            the text, so that finished studies stay finished.
    """

    block: str
    value: Callable[[Study, Wildcards], object]
    without: tuple[str, ...] = ()
    added: bool = False


@dataclass(frozen=True)
class Block:
    """A block of settings less some of them.

    Attributes:
        block: its dotted name.
        without: names in it that the stage does not read.
        added: whether a later version brought the block: where a study has none, it is not part of the text, so that
            finished studies stay finished.
    """

    block: str
    without: tuple[str, ...]
    added: bool = False


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: name of its rule and of its command.
        function: where it is, ``module:function`` below ``defectscape.stages``.
        version: raise it when the code changes its results: Snakemake does not see code behind a command.
        kind: what its time is spent on.
        reads: dotted names of the settings that it reads.
        takes: its arguments beside the study, in order.
    """

    name: str
    function: str
    version: int
    kind: Kind
    reads: tuple[str | Block | Part, ...]
    takes: tuple[Argument, ...] = ()

    def settings_text(self, study: Study, wildcards: Wildcards) -> str:
        """What a job depends on, as text: a change of it runs the job again.

        Without defaults: a setting that a later version adds must not run a finished study again.
        """
        content: dict[str, object] = {"version": self.version}
        for item in self.reads:
            if isinstance(item, Part):
                value = item.value(study, wildcards)
                if value is not None or not item.added:
                    content[item.block] = value
            elif isinstance(item, Block):
                value = block_of(study, item.block, item.without)
                if value is not None or not item.added:
                    content[item.block] = value
            else:
                content[item] = block_of(study, item)
        return json.dumps(content, sort_keys=True)


WHOLE = "*"
"""Stands for all settings of the study."""


def block_of(study: Study, block: str, without: tuple[str, ...] = ()) -> Any:
    """A block of the settings as plain data, without what has its default.

    Args:
        study: all settings.
        block: dotted name.
        without: names in the block that are left out.
    """
    value: Any = study.model_dump(mode="json", exclude_defaults=True)
    for part in () if block == WHOLE else block.split("."):
        value = (value or {}).get(part)
    return {name: value[name] for name in value if name not in without} if without and value else value
