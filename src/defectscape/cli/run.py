"""``defectscape run``: the package's workflow, run by snakemake.

The check comes first, so that a mistake in the study costs no label. It is no rule of the workflow: an
input marked ``ancient()`` would keep Snakemake from seeing other changes behind it.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from defectscape.cli.people import check

OWN_CORES = ("--cores", "-c", "--jobs", "-j", "--executor", "-e")
"""Options of snakemake's that say how much runs at once, and where."""


Options = Annotated[list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="Options and targets for snakemake.")]
Cores = Annotated[int | None, typer.Option(help="Jobs at a time; left out, one for each core.", min=1)]
Profile = Annotated[str | None, typer.Option(help="slurm, sge, cluster-generic, or a profile of your own.")]


def run(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    options: Options = None,
    cores: Cores = None,
    profile: Profile = None,
) -> None:
    """Check a study, then run it to its report with snakemake, which may be given options after `--`."""
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
