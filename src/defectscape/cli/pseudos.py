"""Subcommands that provide pseudopotentials."""

from pathlib import Path
from typing import Annotated

import typer

from defectscape.domain.errors import EngineError

pseudos = typer.Typer(help="Write pseudopotentials for pw.x.", no_args_is_help=True)


@pseudos.command()
def gth(
    elements: Annotated[
        list[str],
        typer.Argument(help="Elements; add a number of valence electrons to choose it, as in `Sb Cd:12`."),
    ],
    folder: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("pseudos/gth"),
    functional: Annotated[str, typer.Option(help="Functional: pbe (also for HSE06), pade or blyp.")] = "pbe",
    table: Annotated[
        Path | None, typer.Option(help="CP2K's file GTH_POTENTIALS. Default: the file of cp2k-data or PySCF.")
    ] = None,
) -> None:
    """Write GTH pseudopotentials from CP2K's table. Default: the one with the most valence electrons."""
    import hashlib

    from defectscape.engines.gth import (
        FUNCTIONALS,
        choose_potential,
        find_table,
        gth_file,
        read_potentials,
    )
    from defectscape.files.text import write_text

    if functional not in FUNCTIONALS:
        raise EngineError("functional", functional, f"Choose one of {', '.join(FUNCTIONALS)}")
    source = table or find_table()
    text = source.read_text(encoding="utf-8", errors="replace")
    for item in elements:
        element, _, count = item.partition(":")
        if count and not count.isdigit():
            raise EngineError("element", item, "Write it as Cd or, with a choice, as Cd:12")
        known = read_potentials(text, element, functional)
        chosen = choose_potential(known, element, int(count) if count else None)
        content = gth_file(chosen, functional)
        write_text(folder / chosen.file_name, content)
        others = ", ".join(f"q{value}" for value in sorted(known) if value != chosen.valence)
        typer.echo(
            f"{element}: {folder / chosen.file_name}, sha256 "
            f"{hashlib.sha256(content.encode()).hexdigest()}" + (f" (the table also has {others})" if others else "")
        )
    typer.echo(f"from {source}")
