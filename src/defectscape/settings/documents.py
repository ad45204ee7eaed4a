"""Documents generated from the settings: the config page and the JSON schema.

A test compares them with the committed files, so that they cannot drift.
"""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from defectscape.settings.study import Study

HEADER = """# Configuration

One YAML file describes one study. Every key is listed here with its meaning, unit and default; a key
without a default must be given, and an unknown key is refused. This page and `schema.json` are
generated from the settings classes by `defectscape documents`; point your editor's YAML plugin at
`schema.json` for completion.
"""


def json_schema() -> str:
    """The JSON schema of a study, as text."""
    return json.dumps(Study.model_json_schema(), indent=2, sort_keys=True) + "\n"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _type_text(annotation: Any) -> str:
    text = getattr(annotation, "__name__", None) if not get_args(annotation) else str(annotation)
    text = str(text if text is not None else annotation)
    for noise in ("typing.", "pathlib.", "<class '", "'>"):
        text = text.replace(noise, "")
    if "Annotated[int, BeforeValidator" in text:
        text = "list of signed charges" if text.startswith("list") else "signed charge"
    if "FilePath" in text or "Annotated[Path" in text or "Annotated[pathlib" in text:
        text = "mapping of names to paths" if text.startswith("dict") else "path"
    if text.startswith("Literal["):
        text = "one of " + text[len("Literal[") : -1]
    return text.replace("|", "or")


def _default_text(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return f"`{json.dumps(field.default)}`"


def _section(model: type[BaseModel], path: str) -> Iterator[str]:
    title = path or "study file"
    yield f"\n## `{title}`\n\n{(model.__doc__ or '').strip()}\n\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|\n"
    nested: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        where = f"{path}.{name}" if path else name
        kind = "section" if inner else _type_text(field.annotation)
        if inner and "list" in str(field.annotation):
            kind = "list of sections"
        nested += [(m, where if len(inner) == 1 else f"{where} ({m.__name__})") for m in inner]
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        yield f"| `{name}` | {kind} | {_default_text(field)} | {meaning} |\n"
    for submodel, where in nested:
        yield from _section(submodel, where)


def config_page() -> str:
    """The documentation of every key, in Markdown."""
    return HEADER + "".join(_section(Study, ""))
