"""``defectscape new``: a folder with a study and everything that it reads."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from defectscape.domain.errors import ConfigError

EXAMPLES = {"cdte": "config.yaml", "si_dft": "examples/si_dft.yaml"}
"""Example studies by name: their files in ``config/``."""

STUDY = Path("study.yaml")


def new(
    folder: Annotated[Path, typer.Argument(help="Folder for the new study. The study gets the folder's name.")],
    host: Annotated[
        Path | None, typer.Option(help="Your crystal: POSCAR, CIF or any file that pymatgen reads.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Engine: tblite, espresso, vasp or ase.")] = "tblite",
    effort: Annotated[
        str | None,
        typer.Option(help="quick, standard or thorough. Default: quick with tblite, standard with other engines."),
    ] = None,
    image_distance: Annotated[
        float, typer.Option(min=1.0, help="Smallest distance of a defect to its periodic image, A.")
    ] = 10.0,
    dopants: Annotated[str, typer.Option(help="Foreign elements, such as Cl,Cu. Their defects are proposed too.")] = "",
    example: Annotated[str | None, typer.Option(help=f"Copy an example instead: {', '.join(EXAMPLES)}.")] = None,
) -> None:
    """Propose a study of your crystal, or copy an example, together with its structure files.

    The command overwrites nothing.
    """
    if (host is None) == (example is None):
        raise ConfigError(
            "new",
            "nothing to begin with" if host is None else "--host and --example",
            f"Give one: --host with your crystal, or --example with one of {', '.join(EXAMPLES)}",
        )
    if host is not None:
        _propose(folder, host, engine, effort, image_distance, _symbols(dopants))
        return
    if dopants:
        raise ConfigError("--dopants", dopants, "They dope a crystal of yours: give it with --host")
    if example not in EXAMPLES:
        raise ConfigError("example", str(example), f"Give one of {', '.join(EXAMPLES)}")
    _write(folder, {**_documents(), **_example(EXAMPLES[example])})
    typer.echo(f"next: defectscape run {folder / STUDY}")


def _symbols(text: str) -> tuple[str, ...]:
    """``Cl,Cu`` in its parts; what they are is for the proposal to say."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def _propose(
    folder: Path, host: Path, engine: str, effort: str | None, image_distance_A: float, dopants: tuple[str, ...]
) -> None:
    """Write the proposed study, and say what was found and what comes next."""
    from defectscape.settings.effort import Effort
    from defectscape.tools.new_engines import Kind
    from defectscape.tools.new_study import Wish, propose_study

    _one_of("engine", engine, get_args(Kind))
    if effort is not None:
        _one_of("effort", effort, get_args(Effort))
    _refuse_existing(folder, [STUDY])
    typer.echo(f"looking at {host}: its defects, its elements, what converges ...")
    name = folder.resolve().name
    wish = Wish(name, host, cast(Kind, engine), cast("Effort | None", effort), image_distance_A, dopants)
    proposal = propose_study(wish)
    _write(folder, {**_documents(), **proposal.files})
    for line in proposal.told:
        typer.echo(line)
    study = folder / STUDY
    typer.echo(f"next        look at {study}" + (", and fill in:" if proposal.open_keys else "; then"))
    for key in proposal.open_keys:
        typer.echo(f"              {key}")
    typer.echo(f"            defectscape check {study}             # what is wrong, or what would run")
    typer.echo(f"            defectscape check --measure {study}   # and how long the labels take")
    typer.echo(f"            defectscape run {study}")


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"--{what}", value, f"Give one of {', '.join(choices)}")


def _refuse_existing(folder: Path, names: list[Path]) -> None:
    for name in names:
        if (folder / name).exists():
            raise ConfigError("study folder", str(folder), f"It has a {name} already; name another folder")


def _write(folder: Path, files: dict[Path, bytes]) -> None:
    """Write all files, or none if one is there."""
    from defectscape.files.atomic import write_bytes

    _refuse_existing(folder, list(files))
    for name, content in files.items():
        write_bytes(folder / name, content)
        typer.echo(str(folder / name))


def _documents() -> dict[Path, bytes]:
    """The schema and the page of keys, which every study's folder has."""
    from defectscape.files.assets import assets

    config = assets() / "config"
    return {
        Path("schema.json"): (config / "schema.json").read_bytes(),
        Path("KEYS.md"): (config / "README.md").read_bytes(),
    }


def _example(source: str) -> dict[Path, bytes]:
    """Contents of an example's files by name; the study names them as they lie beside it."""
    from defectscape.files.assets import assets
    from defectscape.settings.load import read_study
    from defectscape.settings.paths import input_files

    root = assets()
    config = root / "config"
    study = (config / source).read_text(encoding="utf-8")
    files: dict[Path, bytes] = {}
    for path in input_files(read_study(config / source)):
        name = path.relative_to("config")
        files[name] = (root / path).read_bytes()
        study = study.replace(str(path), str(name))
    study = study.replace("config/README.md", "KEYS.md").replace("../schema.json", "schema.json")
    return {STUDY: study.encode(), **files}
