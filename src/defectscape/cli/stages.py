"""Subcommands that are the stages of the DAG; the workflow calls them, people may."""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Literal

import typer

GroupName = Annotated[str, typer.Argument(help="Exploration group, usually a defect's name.")]
Round = Annotated[int, typer.Argument(help="Round; 0 is the initial training.", min=0)]
Member = Annotated[int, typer.Argument(help="Committee member, from 0.", min=0)]
Level = Annotated[
    Literal["low", "high"], typer.Argument(help="Label with the `low` or the `high` fidelity.")
]
Chunk = Annotated[int, typer.Argument(help="Labelling job, from 0.", min=0)]
Key = Annotated[str, typer.Argument(help="Defect key, for example v_Cd_-2.")]


def _run(context: typer.Context, module: str, function: str, *items: object) -> None:
    """Load the study and call one stage; stages import heavy packages, so only now."""
    from defectscape.study.context import StudyContext

    stage = getattr(import_module(f"defectscape.stages.{module}"), function)
    stage(StudyContext.load(context.obj.study, context.obj.results), *items)


def _study_command(module: str, function: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        _run(context, module, function)

    return command


def _group_command(module: str, function: str) -> Callable[[typer.Context, str], None]:
    def command(context: typer.Context, group: GroupName) -> None:
        _run(context, module, function, group)

    return command


def _round_command(module: str, function: str) -> Callable[[typer.Context, str, int], None]:
    def command(context: typer.Context, group: GroupName, number: Round) -> None:
        _run(context, module, function, group, number)

    return command


STUDY_STAGES = (
    ("host", "host", "prepare_host", "Validate and relax the host, build the supercell."),
    (
        "references",
        "references",
        "label_references",
        "Label the perfect supercell and the elements.",
    ),
    ("sites", "host", "list_sites", "Enumerate the host's defects with doped."),
    ("dataset-final", "training", "build_final_data", "Gather every label of the study."),
    ("evaluate", "evaluation", "evaluate_final", "Gates and held-out errors of the final model."),
    ("potentials-host", "potentials", "host_potentials", "Potentials at the host's atoms."),
    ("thermo", "thermo", "compute_levels", "Formation energies and transition levels."),
    ("ccd", "ccd", "compute_diagrams", "Configuration-coordinate diagrams."),
    ("ccd-check", "ccd_check", "check_diagrams", "Points of the diagrams by the engine."),
    ("summary", "summary", "summarise", "Write summary.json and the minima's structures."),
    ("handover", "handover", "hand_over", "Folders for a last relaxation; the model's card."),
    ("report", "report", "write_page", "Write the report page, its figures and tables."),
)
GROUP_STAGES = (
    ("starts", "sampling", "make_group_starts", "Distorted starts, initial pool and splits."),
    ("select", "sampling", "select_group_initial", "Initial high-fidelity selection."),
    ("search-final", "search", "search_final", "Final search of a group."),
    ("minima", "search", "merge_minima", "Merge and rank the minima of the final search."),
)
ROUND_STAGES = (
    ("dataset", "labels", "build_round_data", "Gather the labels a group knows after a round."),
    ("search", "search", "search_round", "Search of an exploration round."),
    (
        "harvest",
        "select_round",
        "harvest",
        "Choose a round's new frames from the search before it.",
    ),
)


def register(app: typer.Typer) -> None:
    """Add the stage commands to the application."""
    for stages, make in (
        (STUDY_STAGES, _study_command),
        (GROUP_STAGES, _group_command),
        (ROUND_STAGES, _round_command),
    ):
        for name, module, function, text in stages:
            app.command(name, help=text, rich_help_panel="Stages")(make(module, function))

    @app.command("label", help="Label one chunk of a round's frames.", rich_help_panel="Stages")
    def label(
        context: typer.Context, group: GroupName, number: Round, level: Level,
        chunk: Chunk,
    ) -> None:  # fmt: skip
        _run(context, "labels", "label_chunk", group, number, level, chunk)

    @app.command("train", help="Train one committee member of a round.", rich_help_panel="Stages")
    def train(context: typer.Context, group: GroupName, number: Round, member: Member) -> None:
        _run(context, "training", "train_round", group, number, member)

    @app.command("train-final", help="Train one final member.", rich_help_panel="Stages")
    def train_final(context: typer.Context, member: Member) -> None:
        _run(context, "training", "train_final", member)

    @app.command(
        "relax-starts",
        help="Relax some starts of a key with the low engine.",
        rich_help_panel="Stages",
    )
    def relax_starts(context: typer.Context, group: GroupName, key: Key) -> None:
        _run(context, "relax_starts", "relax_starts", group, key)

    @app.command(
        "relax-minima",
        help="Relax the lowest minima of the search before a round with the low engine.",
        rich_help_panel="Stages",
    )
    def relax_minima(context: typer.Context, group: GroupName, number: Round, key: Key) -> None:
        _run(context, "relax_minima", "relax_minima", group, number, key)

    @app.command(
        "potentials", help="Potentials at the atoms of a ground state.", rich_help_panel="Stages"
    )
    def potentials(context: typer.Context, group: GroupName, key: Key) -> None:
        _run(context, "potentials", "key_potentials", group, key)

    @app.command("verify", help="Verify the best minima of one key.", rich_help_panel="Stages")
    def verify(context: typer.Context, group: GroupName, key: Key) -> None:
        _run(context, "verification", "verify_key", group, key)
