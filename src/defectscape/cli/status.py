"""``defectscape status``: how far a study is, while it runs, here or on a cluster."""

import json
from pathlib import Path
from typing import Annotated

import typer


def status(
    context: typer.Context,
    study: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Say what is done, running, left and failed of a study, what its labels took, and what is left.

    Looks at files alone: it takes no lock and writes nothing, so it may be asked at any time.
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
