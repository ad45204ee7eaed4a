"""``defectscape new``: a folder with a study and everything that it reads."""

from pathlib import Path
from typing import Annotated

import typer

from defectscape.domain.errors import ConfigError

EXAMPLES = {"cdte": "config.yaml", "si_dft": "examples/si_dft.yaml"}
"""Example studies by name: their files in ``config/``."""


def new(
    folder: Annotated[Path, typer.Argument(help="Folder to write the study into.")],
    example: Annotated[str | None, typer.Option(help=f"Study to begin with: {', '.join(EXAMPLES)}.")] = None,
) -> None:
    """Write a study with the structures that it reads; overwrites nothing."""
    from defectscape.files.text import write_text

    if example not in EXAMPLES:
        raise ConfigError("example", example or "none given", f"Give one of {', '.join(EXAMPLES)}")
    files = _files(EXAMPLES[example])
    for name in files:
        if (folder / name).exists():
            raise ConfigError("study folder", str(folder), f"It has a {name} already; name another folder")
    for name, text in files.items():
        write_text(folder / name, text)
        typer.echo(str(folder / name))
    typer.echo(f"next: defectscape run {folder / 'study.yaml'}")


def _files(source: str) -> dict[Path, str]:
    """Contents of an example's files by name; the study names them as they lie beside it."""
    from defectscape.files.assets import assets
    from defectscape.settings.load import read_study
    from defectscape.settings.paths import input_files

    root = assets()
    config = root / "config"
    study = (config / source).read_text(encoding="utf-8")
    files = {Path("schema.json"): config / "schema.json", Path("KEYS.md"): config / "README.md"}
    for path in input_files(read_study(config / source)):
        name = path.relative_to("config")
        files[name] = root / path
        study = study.replace(str(path), str(name))
    study = study.replace("config/README.md", "KEYS.md").replace("../schema.json", "schema.json")
    copies = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return {Path("study.yaml"): study, **copies}
