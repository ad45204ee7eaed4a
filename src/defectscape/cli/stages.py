"""The hidden command that runs one stage; the workflow's rules call it."""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

from defectscape.domain.errors import ConfigError
from defectscape.domain.keys import DefectKey


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError("round, chunk or member", repr(text), "Give a number from 0 on")
    return int(text)


def _fidelity(text: str) -> str:
    if text not in ("low", "high"):
        raise ConfigError("fidelity", repr(text), "Give `low` or `high`")
    return text


READERS: dict[str, Callable[[str], object]] = {
    "group": str,
    "round": _number,
    "fidelity": _fidelity,
    "chunk": _number,
    "member": _number,
    "key": DefectKey.parse,
}
"""How each argument of a stage is read."""


def run_stage(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The stage, as its rule is called.")],
    items: Annotated[
        list[str] | None, typer.Argument(help="Group, round, fidelity, chunk, member or key.")
    ] = None,
) -> None:
    """Run one stage of a study; the workflow calls this."""
    # Stages import heavy packages, so only the one that runs is imported.
    from defectscape.study.context import StudyContext
    from defectscape.study.stages import find_stage

    stage, given = find_stage(name), items or []
    if len(given) != len(stage.takes):
        takes = ", ".join(stage.takes) or "nothing"
        raise ConfigError(f"stage {name}", f"{len(given)} arguments", f"It takes {takes}")
    values = [READERS[kind](text) for kind, text in zip(stage.takes, given, strict=True)]
    module, function = stage.function.split(":")
    run = getattr(import_module(f"defectscape.stages.{module}"), function)
    run(StudyContext.load(context.obj.study, context.obj.results), *values)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("stage", hidden=True)(run_stage)
