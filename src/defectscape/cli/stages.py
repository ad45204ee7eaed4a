"""The hidden command that runs one stage; the workflow's rules call it."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from defectscape.domain.errors import ConfigError
from defectscape.domain.keys import DefectKey
from defectscape.study.stages import find_stage

if TYPE_CHECKING:
    from defectscape.study.context import StudyContext


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError("round, chunk or member", repr(text), "Give a number from 0 on")
    return int(text)


def _chunk(text: str) -> int:
    """``3``, or ``3-of-7``."""
    return _number(text.partition("-of-")[0])


def _fidelity(text: str) -> str:
    if text not in ("low", "high"):
        raise ConfigError("fidelity", repr(text), "Give `low` or `high`")
    return text


READERS: dict[str, Callable[[str], object]] = {
    "group": str,
    "round": _number,
    "fidelity": _fidelity,
    "chunk": _chunk,
    "member": _number,
    "key": DefectKey.parse,
}
"""How each argument of a stage is read."""


def call_stage(study: "StudyContext", name: str, items: Sequence[str]) -> None:
    """Run one stage of a study.

    Args:
        study: the loaded study.
        name: the stage, as its rule is called.
        items: its arguments, as text.

    Raises:
        ConfigError: for a stage that does not exist, or arguments that it does not take.
    """
    stage = find_stage(name)
    if len(items) != len(stage.takes):
        takes = ", ".join(stage.takes) or "nothing"
        raise ConfigError(f"stage {name}", f"{len(items)} arguments", f"It takes {takes}")
    values = [READERS[kind](text) for kind, text in zip(stage.takes, items, strict=True)]
    # Stages import heavy packages, so only the one that runs is imported.
    module, function = stage.function.split(":")
    getattr(import_module(f"defectscape.stages.{module}"), function)(study, *values)


def run_stage(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The stage, as its rule is called.")],
    items: Annotated[list[str] | None, typer.Argument(help="Group, round, fidelity, chunk, member or key.")] = None,
) -> None:
    """Run one stage of a study; the workflow calls this."""
    from defectscape.study.context import StudyContext

    paths = context.obj
    study = StudyContext.load(paths.study, paths.results, paths.processes, partial=paths.partial, ends_at=paths.ends_at)
    call_stage(study, name, items or [])


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("stage", hidden=True)(run_stage)
