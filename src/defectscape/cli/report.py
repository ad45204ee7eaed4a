"""``defectscape report --partial``: the page of the defects that are finished, while others are not or have failed."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from defectscape.cli.run import Cores, Options, Profile, become_snakemake, snakemake_words
from defectscape.domain.errors import ConfigError


def report(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    options: Options = None,
    partial: Annotated[bool, typer.Option("--partial", help="Of the finished defects alone.")] = False,
    cores: Cores = None,
    profile: Profile = None,
) -> None:
    """Make the page of the defects that are finished; it says which are missing, and what stopped them.

    What the page needs beside them, such as the training of a final model, is run by snakemake in a folder of its own:
    nothing of the study is changed, and it may go on meanwhile.
    """
    from defectscape.study.jobs import PAGE
    from defectscape.study.layout import PARTIAL, Layout
    from defectscape.study.unfinished import write_unfinished
    from defectscape.tools.progress import WORDS, Progress, partial_layout

    if not partial:
        raise ConfigError(
            "report",
            "without --partial",
            "`defectscape run` makes the page of the whole study; --partial makes one of its finished defects",
        )
    results = context.obj.results
    progress = Progress.look(study, results)
    layout = partial_layout(progress)
    missing = progress.unfinished
    write_unfinished(layout, missing)
    names = {item.group for item in missing}
    typer.echo(f"finished    {', '.join(group.name for group, _ in progress.groups if group.name not in names)}")
    for item in missing:
        typer.echo(f"missing     {item.group}: {item.stage} ({WORDS[item.state]}), log {item.log}")
    typer.echo(f"page        {layout.report}")
    # As the workflow calls its files: from its working directory.
    here = results if results == Path("results") else results.resolve()
    page = Layout(here / progress.study.study, PARTIAL).report
    # What it writes is written by no other run, and what it reads is finished, so that it needs no lock.
    own = [str(page), "--allowed-rules", *PAGE, "--nolock", "--config", f"{PARTIAL}=true"]
    words = snakemake_words(study, [*own[:-2], *(options or ()), *own[-2:]], cores, profile, results)
    typer.echo(f"command     {shlex.join(['snakemake', *words])}")
    become_snakemake(words)
