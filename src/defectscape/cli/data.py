"""Subcommands that bring labels in and out: import, export."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Fidelity = Annotated[
    Literal["low", "high"],
    typer.Option("--fidelity", "--level", help="Fidelity of the labels."),
]


def import_labels(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files vasprun.xml (also .gz, .bz2, .xz) or *.extxyz[.xz], or folders that hold them."),
    ],
    fidelity: Fidelity,
    defect: Annotated[
        str | None, typer.Option(help="Name of the defect, defectscape's or doped's. Needed if its site is ambiguous.")
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="Write the imported structures to this file. Name the file under `imported` in the study."),
    ] = None,
) -> None:
    """Check existing calculations and add them to the study's label store."""
    from defectscape.files.extxyz import write_frames
    from defectscape.study.context import StudyContext
    from defectscape.tools.import_labels import import_paths

    study_context = StudyContext.load(context.obj.study, context.obj.results)
    rows = import_paths(study_context, fidelity, paths, defect)
    typer.echo(f"{'taken':>6} {'refused':>8}  key")
    for row in rows:
        typer.echo(f"{row.taken:6d} {row.refused:8d}  {row.key}  {row.path}")
        if row.reason:
            typer.echo(f"{'':17}{row.reason}")
    found = {frame.frame_id: frame for row in rows for frame in row.frames}
    typer.echo(
        f"{sum(row.taken for row in rows)} labels in {study_context.study.label_store}, {len(found)} distinct frames"
    )
    if frames is not None and found:
        write_frames(frames, list(found.values()))
        typer.echo(f"frames in {frames}")
    if not found:
        raise typer.Exit(1)


def export_labels(
    context: typer.Context,
    fidelity: Annotated[Literal["low", "high"], typer.Argument(help="Fidelity: `low` or `high`.")],
    path: Annotated[Path, typer.Argument(help="Data set to write: *.extxyz, or *.extxyz.xz to compress it.")],
    without: Annotated[
        list[Path] | None,
        typer.Option(help="Leave out the structures of this data set. Repeat the option for more."),
    ] = None,
) -> None:
    """Write all labels of one fidelity of a study as a data set with its card."""
    from defectscape.study.context import StudyContext
    from defectscape.tools.data_sets import export

    study_context = StudyContext.load(context.obj.study, context.obj.results)
    card = export(study_context, fidelity, path, without or ())
    for key, count in card.labels:
        typer.echo(f"{count:6d} {key}")
    typer.echo(f"{card.core_s / 3600:.2f} core-hours, in {path}")


def relabel(
    context: typer.Context,
    fidelity: Annotated[Literal["low", "high"], typer.Argument(help="Fidelity: `low` or `high`.")],
    source: Annotated[Path, typer.Argument(help="Structures to label, *.extxyz[.xz].")],
    target: Annotated[Path, typer.Argument(help="Data set to write, *.extxyz[.xz].")],
) -> None:
    """Label the structures of a file with the study's engine. Labels in the store are not computed again."""
    from defectscape.study.context import StudyContext
    from defectscape.tools.data_sets import relabel as label

    study_context = StudyContext.load(context.obj.study, context.obj.results)
    card, failures = label(study_context, fidelity, source, target)
    for key, count in card.labels:
        typer.echo(f"{count:6d} {key}")
    for failure in failures:
        typer.echo(f"no label: {failure}", err=True)
    typer.echo(f"{card.core_s / 3600:.2f} core-hours, in {target}")


def compare(
    low: Annotated[Path, typer.Argument(help="Data set of the low fidelity.")],
    high: Annotated[Path, typer.Argument(help="Data set of the high fidelity.")],
) -> None:
    """Compare two levels of theory on the structures that both data sets hold, by charge."""
    from defectscape.files.extxyz import read_labelled
    from defectscape.summary.fidelity_difference import fidelity_differences
    from defectscape.tools.data_sets import read_card

    sets = [read_labelled(path, read_card(path).fidelity) for path in (low, high)]
    typer.echo("frames  shift (eV)  spread (meV/atom)  of low  dF RMS  F RMS (meV/A)  key")
    for gap in fidelity_differences(*sets):
        typer.echo(
            f"{gap.frames:6d} {gap.shift_eV:11.3f} {gap.spread_meV_atom:18.2f} "
            f"{gap.low_spread_meV_atom:7.2f} {gap.force_rms_meV_A:7.1f} {gap.force_meV_A:14.1f}  "
            f"{gap.key}"
        )


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("import", rich_help_panel="Study")(import_labels)
    app.command("export", rich_help_panel="Study")(export_labels)
    app.command("relabel", rich_help_panel="Study")(relabel)
    app.command("compare", rich_help_panel="Study")(compare)
