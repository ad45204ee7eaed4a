"""Generated documents are the committed ones, and every setting is documented."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from defectscape.settings.documents import DOCUMENTS, config_page, default_yaml, json_schema
from defectscape.settings.load import load_study
from defectscape.settings.study import Study
from defectscape.summary.file import SUMMARY_DOCUMENTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [*DOCUMENTS, *SUMMARY_DOCUMENTS])
def test_committed_documents_are_current(name: str) -> None:
    make = {**DOCUMENTS, **SUMMARY_DOCUMENTS}[name]
    assert (ROOT / name).read_text() == make(), f"run `defectscape documents` to renew {name}"


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for candidate in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from models(candidate)


def test_every_setting_has_a_description() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in models(Study)
        for name, field in model.model_fields.items()
        if not field.description and name != "engine"
    ]
    assert bare == []


def test_the_config_page_names_every_key() -> None:
    page = config_page()
    for model in models(Study):
        for name in model.model_fields:
            assert f"| `{name}` |" in page


def test_the_schema_asks_for_what_no_effort_gives() -> None:
    schema = json.loads(json_schema())
    written = yaml.safe_load(default_yaml())
    assert len(default_yaml().splitlines()) <= 40
    jsonschema.validate(written, schema)
    for key in ("file", "matrix_"):
        bad = deepcopy(written)
        bad["host"].pop("file") if key == "file" else bad["host"]["supercell"].update({key: 1})
        with pytest.raises(jsonschema.ValidationError, match=key):
            jsonschema.validate(bad, schema)


def test_the_default_file_is_the_default_study() -> None:
    from_file = load_study(ROOT / "config/config.yaml")
    assert yaml.safe_load(default_yaml())["study"] == from_file.study
    assert Study.model_validate(yaml.safe_load(default_yaml())) == from_file
