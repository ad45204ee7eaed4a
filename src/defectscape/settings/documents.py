"""Documents generated from the settings: the config page and the JSON schema.

A test compares them with the committed files, so that they cannot drift.
"""

import json
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.settings.effort import EFFORTS, PROPOSED, proposed
from defectscape.settings.references import ReferenceSettings
from defectscape.settings.study import Study

HEADER = """# Configuration

One YAML file describes one study. Every key is listed here with its meaning, unit and default; a key
without a default must be given, and an unknown key is refused. This page and `schema.json` are
generated from the settings classes by `defectscape documents`; point your editor's YAML plugin at
`schema.json` for completion.

`effort` sets whole sections in one word. Where the default is "by effort", the three values are those of
`quick`, `standard` and `thorough`. `defectscape check --full STUDY` prints a study with every key.

Relative paths start in the folder of the study's file if one of the files that the study reads is there:
the host, a reference, a data set. Otherwise they start in the working directory. Results are written to
`results/` in the working directory, which `defectscape run` sets to where the paths start.
"""

ONE_LINE = 110
"""Sections of the default study up to this width stand in one line."""

YAML_HEADER = """# The default study: two defects of CdTe with the embedded tight-binding engine, no DFT needed.
# Copy it, change it, and call `defectscape run path/to/your.yaml`; config/README.md describes every key.
# yaml-language-server: $schema=schema.json

"""


def json_schema() -> str:
    """The JSON schema of a study, as text."""
    schema = Study.model_json_schema()
    for model, where in _places(Study, ""):
        definition = schema if model is Study else schema["$defs"][model.__name__]
        for name in definition.get("required", [])[:]:
            if _is_given(model.model_fields[name], _join(where, name)):
                definition["required"].remove(name)
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is_given(field: FieldInfo, where: str) -> bool:
    """Whether a key may be left out, with all that is in it."""
    if not field.is_required():
        return True
    inner = [(model, name) for model in _models(field.annotation) for name in model.model_fields]
    return len(proposed(where)) == len(EFFORTS) and all(
        _is_given(model.model_fields[name], _join(where, name)) for model, name in inner
    )


def _places(model: type[BaseModel], where: str) -> Iterator[tuple[type[BaseModel], str]]:
    """Every model of the study and each place that it stands in."""
    yield model, where
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            yield from _places(inner, _join(where, name))


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
        many = {"list": "list of signed charges", "dict": "mapping of signed charges to integers"}
        text = many.get(text[:4], "signed charge")
    if "FilePath" in text or "Annotated[Path" in text or "Annotated[pathlib" in text:
        text = "mapping of names to paths" if text.startswith("dict") else "path"
    text = text.replace("Optional[Literal", "Literal").replace("]]", "]") if "Optional[Literal" in text else text
    if text.startswith("Literal["):
        text = "one of " + text[len("Literal[") : -1]
    return text.replace("|", "or")


def _default_text(field: FieldInfo, where: str) -> str:
    given, own = proposed(where), _own_default(field)
    if not given:
        return own
    if len(given) < len(EFFORTS) and own == "required":
        return "; ".join([own, *(f"{effort}: `{json.dumps(value)}`" for effort, value in given.items())])
    if any(isinstance(value, dict) for value in given.values()):
        common = "its defaults" if _is_given(field, where) else "required"
        return common if where.split(".")[0] in PROPOSED else "by effort"
    texts = [f"`{json.dumps(given.get(effort, field.default))}`" for effort in EFFORTS]
    if len(set(texts)) > 1:
        texts = ["by effort: " + ", ".join(texts)]
    return texts[0] if own in ("required", texts[0]) else f"{texts[0]}; without, {own}"


def _own_default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        return "its defaults"
    return f"`{json.dumps(field.default)}`"


def sections(model: type[BaseModel], path: str, seen: set[str], *, by_effort: bool = False) -> Iterator[str]:
    """A model and all below it; the choices of a union are described where they come first.

    Args:
        model: the class of settings.
        path: where it stands in the file; empty for the file itself.
        seen: places that are described already, or elsewhere.
        by_effort: whether it is a study's, whose defaults follow its effort.
    """
    title = path or "study file"
    yield f"\n## `{title}`\n\n{(model.__doc__ or '').strip()}\n\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|\n"
    nested: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        inner = list(_models(field.annotation))
        where = _join(path, name)
        kind = "section" if inner else _type_text(field.annotation)
        if inner == [ReferenceSettings] and "dict" in str(field.annotation):
            kind = "mapping of names to paths or sections"
        if inner and "list" in str(field.annotation):
            kind = "list of sections"
        nested += [(m, where if len(inner) == 1 else f"{name} ({m.__name__})") for m in inner]
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        default = _default_text(field, where) if by_effort else _own_default(field)
        yield f"| `{name}` | {kind} | {default} | {meaning} |\n"
    for submodel, where in nested:
        if where not in seen:
            seen.add(where)
            yield from sections(submodel, where, seen, by_effort=by_effort)


def config_page() -> str:
    """The documentation of every key, in Markdown."""
    return HEADER + "".join(sections(Study, "", set(), by_effort=True))


def default_yaml() -> str:
    """The default study as YAML, with every key's meaning beside it."""
    study = Study.model_validate(DEFAULT_STUDY)
    return YAML_HEADER + "".join(_yaml_model(study, DEFAULT_STUDY, 0))


def _yaml_model(model: BaseModel, given: dict[str, Any], depth: int) -> Iterator[str]:
    dump, in_a_row = model.model_dump(mode="json"), False
    for name, field in type(model).model_fields.items():
        indent = "  " * depth
        value = getattr(model, name)
        if name not in given:
            continue
        description = " ".join((field.description or "").split())
        line = f"{indent}{name}: {_flow(given[name])}"
        if isinstance(value, BaseModel) and len(line) <= ONE_LINE:
            yield ("" if depth or in_a_row else "\n") + f"{line}  # {description}\n"
            in_a_row = True
            continue
        in_a_row = False
        if isinstance(value, BaseModel):
            comment = f"  # {description}" if description else ""
            yield ("" if depth else "\n") + f"{indent}{name}:{comment or ''}\n"
            yield from _yaml_model(value, given[name], depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            yield ("" if depth else "\n") + f"{indent}{name}:  # {description}\n"
            for row in given[name]:
                yield f"{indent}  - {_flow(row)}\n"
        else:
            text = f"{indent}{name}: {_flow(dump[name])}"
            yield f"{text}  # {description}\n"


def _flow(value: Any) -> str:
    """A value in YAML's flow style, on one line; charges stay quoted."""
    return (
        yaml.dump(value, default_flow_style=True, width=10_000, sort_keys=False, Dumper=_QuotingDumper)
        .strip()
        .removesuffix("...")
        .strip()
    )


class _QuotingDumper(yaml.SafeDumper):
    """Quotes text that YAML would read as a number: signed charges."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    number_like = text.lstrip("+-").isdigit()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if number_like else None)


_QuotingDumper.add_representer(str, _quoted)


DOCUMENTS = {
    "config/README.md": config_page,
    "config/schema.json": json_schema,
    "config/config.yaml": default_yaml,
}
"""Generated files, relative to the repository, and what makes them."""
