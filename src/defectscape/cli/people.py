"""Subcommands that people type: check a study, look into the label store, write the documents."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from defectscape.domain.errors import ConfigError, StoreError
from defectscape.domain.keys import DefectKey


def _hours(core_s: float) -> str:
    return f"{core_s / 3600:.2f} h" if core_s >= 3600 else f"{core_s:.0f} s"


def _asked(key: DefectKey, stated: Mapping[DefectKey, int]) -> str:
    """A charge state, with its multiplicity where the study states one."""
    return f"{key} (multiplicity {stated[key]})" if key in stated else str(key)


def check(
    context: typer.Context,
    config: Annotated[Path | None, typer.Argument(help="YAML file of the study. Default: the file of --study.")] = None,
    measure: Annotated[bool, typer.Option(help="Compute one label at each fidelity to estimate the time.")] = False,
    full: Annotated[bool, typer.Option(help="Only print the study with all keys, as YAML.")] = False,
) -> None:
    """Validate a study and show what would run.

    The command computes labels in two cases only. With --measure, it computes one at each fidelity. If the study states
    chemical potentials and the built-in engine labels the host in seconds, it computes the host to test them.
    """
    from defectscape.settings.load import full_yaml, read_study
    from defectscape.settings.thermo import DielectricSettings
    from defectscape.study.context import StudyContext
    from defectscape.tools.check import make_plan, packing_lines
    from defectscape.tools.site_table import pair_table, site_table

    paths = context.obj
    if full:
        typer.echo(full_yaml(read_study(config or paths.study)), nl=False)
        return
    study_context = StudyContext.load(config or paths.study, paths.results)
    plan = make_plan(study_context, measure=measure)
    host, study = plan.host, study_context.study
    echo = typer.echo
    echo(f"study       {study.study}: valid")
    echo(
        f"host        {host.formula} ({host.spacegroup}), supercell of {len(host.numbers)} atoms, "
        f"images {host.min_image_distance_A:.2f} A apart"
    )
    echo(
        f"defects     of the host, their sites in a primitive cell, their places in the cell of {study.host.file}, "
        "their neighbours in A"
    )
    for line in site_table(plan.sites, plan.proposed):
        echo(f"            {line}")
    if plan.pairs:
        echo(
            "pairs       of the study, their ways around a site of the first partner, and how many a primitive cell "
            f"has; closer than {host.min_image_distance_A / 2:.2f} A, half the distance of the images"
        )
        for line in pair_table(host, plan.pairs, plan.proposed):
            echo(f"            {line}")
    echo(f"asked for   {', '.join(_asked(key, study.stated_multiplicities) for key in plan.keys)}")
    echo(f"starts      up to {plan.starts_per_key} for each defect and charge")
    echo(f"trainings   {plan.trainings}")
    correction = study.thermo.correction
    if isinstance(correction, DielectricSettings) and correction.asymmetry > 0:
        echo(f"dielectric  asymmetric by {correction.asymmetry:g}: its symmetric part is taken")
    for program in plan.missing_programs:
        echo(f"program     {program} is not on this machine: a label that the store lacks needs it")
    for warning in plan.warnings:
        echo(f"warning     {warning}")
    echo("later       charge states go into `added_charges`, so that the others stay as they are")
    total_s: float | None = 0.0
    for part in plan.fidelities:
        cost = part.core_s_per_label
        if cost is None:
            total_s = None
            text = "no label like these in the store yet: time unknown (try --measure)"
        else:
            total_s = None if total_s is None else total_s + part.easy_labels * cost
            text = f"{cost:.2f} core-s each (mean of {part.known}), {_hours(part.easy_labels * cost)}"
            if part.labels > part.easy_labels:
                text += f", at most {_hours(part.labels * cost)}"
        easy = f"{part.easy_labels} where states are easy, " if part.labels > part.easy_labels else ""
        echo(f"labels      {part.fidelity} ({part.method}): {easy}at most {part.labels}; {text}")
    for line in packing_lines(study, plan):
        echo(f"packing     {line}")
    if total_s is not None:
        echo(f"label time  {_hours(total_s)} of one core where states are easy, less what the store holds already")


def labels(
    context: typer.Context,
    store: Annotated[
        Path | None, typer.Argument(help="Folder of a label store. Default: the store of --study.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    remove_damaged: Annotated[
        bool, typer.Option(help="Remove damaged records; they are computed again when needed.")
    ] = False,
    remove_failures: Annotated[bool, typer.Option(help="Remove failures; they are tried again when needed.")] = False,
) -> None:
    """Count the labels of a store by engine, defect and charge, with failures and computing time."""
    from defectscape.store.labels import RECORDS, LabelStore

    if store is None:
        from defectscape.settings.load import load_study

        store = Path(load_study(context.obj.study).label_store)
    if not (store / RECORDS).is_dir():
        raise StoreError("label store", str(store), "There is none; give the path of its folder")
    folder = LabelStore(store)
    if remove_failures:
        for record in folder.records():
            if record.label is None:
                folder.failure_path(record.key).unlink()
                typer.echo(f"removed the failure of {record.frame.key} {record.frame.frame_id}")
    damaged = folder.damaged()
    if remove_damaged:
        for path in damaged:
            path.unlink()
            typer.echo(f"removed {path}")
        damaged = []
    if damaged:
        for path in damaged:
            typer.echo(f"damaged: {path} (remove with --remove-damaged)", err=True)
        raise typer.Exit(1)
    rows: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0, 0])
    for record in folder.records():
        row = rows[record.engine, record.settings, str(record.frame.key)]
        row[0 if record.label is not None else 1] += 1
        row[2] += record.core_s
        row[3] += record.label is not None and record.core_s > 0
    calls = folder.calls()
    if as_json:
        content = {
            "labels": [
                {
                    "engine": engine,
                    "settings": json.loads(settings),
                    "key": key,
                    "labels": int(row[0]),
                    "failed": int(row[1]),
                    "core_s": row[2],
                }
                for (engine, settings, key), row in sorted(rows.items())
            ],
            "engine_calls": len(calls),
        }
        typer.echo(json.dumps(content, indent=1))
        return
    for (engine, _settings, key), (done, failed, core_s, timed) in sorted(rows.items()):
        # Imported labels do not say what they cost.
        cost = f"{core_s / timed:9.1f} core-s each" if timed else "  time unknown"
        typer.echo(f"{engine:20} {key:12} {int(done):6d} labels {int(failed):4d} failed {_hours(core_s):>9} {cost}")
    typer.echo(f"{len(calls)} engine calls made, no damaged record")


def converge(
    context: typer.Context,
    fidelity: Annotated[str, typer.Argument(help="`low` or `high`.")],
    values: Annotated[list[float], typer.Argument(help="Values of the setting. The last one is the reference.")],
    setting: Annotated[str, typer.Option(help="A numerical setting of the engine.")] = "cutoff_Ry",
) -> None:
    """Measure the convergence of forces with a setting, on one rattled structure of the first defect."""
    from defectscape.study.context import StudyContext
    from defectscape.tools.convergence import converge as measure

    if fidelity not in ("low", "high"):
        raise ConfigError("fidelity", fidelity, "Give `low` or `high`")
    study_context = StudyContext.load(context.obj.study, context.obj.results)
    rows = measure(study_context, fidelity, setting, values)
    typer.echo(f"{setting:>16}  dF RMS  dF max (meV/A)      energy (eV)  core-s")
    for row in rows:
        typer.echo(
            f"{row.value:16g} {1e3 * row.force_rms_eV_A:7.2f} {1e3 * row.force_max_eV_A:7.2f}"
            f" {row.energy_eV:25.4f} {row.core_s:7.1f}"
        )


def trust(
    files: Annotated[list[Path], typer.Argument(help="Files of MACE foundation models.")],
) -> None:
    """Mark foundation model files as trusted. They are pickles: reading one runs the code in it."""
    from defectscape.model.trust import trust as add
    from defectscape.model.trust import trust_list

    for file in files:
        typer.echo(f"{add(file)}  {file}")
    typer.echo(f"noted in {trust_list()}")


def documents(
    folder: Annotated[Path, typer.Argument(help="Root of the repository.")] = Path(),
) -> None:
    """Write the generated documents: config page, JSON schemas, default study."""
    from defectscape.settings.documents import DOCUMENTS
    from defectscape.summary.file import SUMMARY_DOCUMENTS

    for name, make in {**DOCUMENTS, **SUMMARY_DOCUMENTS}.items():
        (folder / name).write_text(make(), encoding="utf-8")
        typer.echo(name)


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (check, labels, converge, trust):
        app.command(rich_help_panel="Study")(command)
    # For those who work on the package.
    app.command(hidden=True)(documents)
