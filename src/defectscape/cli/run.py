"""A study on its way to its page: ``defectscape run``, ``status`` and ``report --partial``.

``run`` calls snakemake for the package's workflow. The check comes first, so that a mistake in the study costs no
label. It is no rule of the workflow: an input marked ``ancient()`` would keep Snakemake from seeing other changes
behind it.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from defectscape.cli.people import check
from defectscape.domain.errors import ConfigError

OWN_CORES = ("--cores", "-c", "--jobs", "-j", "--executor", "-e")
"""Options of snakemake's that say how much runs at once, and where."""


Options = Annotated[
    list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="Options and targets that snakemake gets.")
]
Cores = Annotated[int | None, typer.Option(help="Number of jobs at a time. Default: one per core.", min=1)]
Profile = Annotated[
    str | None, typer.Option(help="Snakemake profile: slurm, sge, cluster-generic, or the path of your own.")
]


def run(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="YAML file of the study.")],
    options: Options = None,
    cores: Cores = None,
    profile: Profile = None,
) -> None:
    """Check a study, then run it to its report with snakemake.

    Give options for snakemake after `--`.
    """
    check(context, study)
    words = snakemake_words(study, options or (), cores, profile, context.obj.results)
    typer.echo(f"command     {shlex.join(['snakemake', *words])}")
    become_snakemake(words)


def become_snakemake(words: Sequence[str]) -> None:
    """Go on as snakemake with these arguments; this process ends as that one does."""
    sys.stdout.flush()
    # Rules call `defectscape`, which lies beside this Python even where that is not activated.
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # No process of ours stays in between: signals and the exit status are snakemake's own.
    os.execve(
        sys.executable,
        [sys.executable, "-m", "snakemake", *words],
        {**os.environ, "PATH": programs},
    )


def snakemake_words(
    study: Path,
    options: Sequence[str] = (),
    cores: int | None = None,
    profile: str | None = None,
    results: Path = Path("results"),
) -> list[str]:
    """Arguments of snakemake for a study.

    Its working directory is where the study's relative paths start, so that `results/` and
    `.snakemake/` are the same ones wherever this is called. `profiles/default` of the package is
    found by snakemake beside the Snakefile.

    Args:
        study: the study's file.
        options: what is passed on; what is said there is not said here.
        cores: jobs at a time.
        profile: name of one of the package's profiles, or what snakemake takes.
        results: folder of all studies' results; a relative one other than the default is meant from here.
    """
    from defectscape.files.assets import assets
    from defectscape.settings.load import read_study
    from defectscape.settings.paths import home

    given = {option.partition("=")[0] for option in options}
    folder = home(read_study(study), study)
    words = ["--snakefile", str(assets() / "Snakefile")]
    elsewhere = bool(given & {"--directory", "-d"})
    if not elsewhere and not folder.samefile(Path()):
        words += ["--directory", str(folder)]
        study = study.relative_to(folder)
    settings = [f"study={study.resolve() if elsewhere else study}"]
    if results != Path("results"):
        settings.append(f"results={results.resolve()}")
    if profile is not None:
        ours = assets() / "profiles" / profile
        words += ["--profile", str(ours if (ours / "config.yaml").is_file() else profile)]
        given.add("--profile")
    if cores is not None or not given & {*OWN_CORES, "--profile"}:
        words += ["--cores", "all" if cores is None else str(cores)]
    return _with_settings(words, list(options), settings)


def _with_settings(words: list[str], options: list[str], settings: list[str]) -> list[str]:
    """All words; snakemake hears the last `--config` alone, so ours joins the one that is given."""
    for place in reversed(range(len(options))):
        name, _, value = options[place].partition("=")
        if name in ("--config", "-C"):
            own = [value] if value else []
            return [*words, *options[:place], "--config", *settings, *own, *options[place + 1 :]]
    # Before another option, since targets that follow `--config` would be taken for its values.
    return [*words[:2], "--config", *settings, *words[2:], *options]


def status(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="YAML file of the study.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which parts of a study are done, running, failed or left, and the time of its labels.

    The command only reads files: it takes no lock and writes nothing, so you can call it at any time.
    """
    from defectscape.files.codec import encode
    from defectscape.tools.status import look_at
    from defectscape.tools.status_text import status_lines

    found = look_at(study, context.obj.results)
    if as_json:
        typer.echo(json.dumps(encode(found), indent=1))
        return
    for line in status_lines(found):
        typer.echo(line)


def report(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="YAML file of the study.")],
    options: Options = None,
    partial: Annotated[bool, typer.Option("--partial", help="Use the finished defects only.")] = False,
    cores: Cores = None,
    profile: Profile = None,
) -> None:
    """Make the report of the finished defects. The page names the missing ones and what stopped them.

    Snakemake runs the jobs that the page needs, such as the training of a final model, in a separate folder. The study
    itself does not change and can go on meanwhile.
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
