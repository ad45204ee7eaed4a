"""Files of settings: their documents, their groups, their relative paths, and which one is meant."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from defectscape.domain.errors import ConfigError
from defectscape.settings.default_study import DEFAULT_STUDY
from defectscape.settings.documents import DOCUMENTS, config_page, default_yaml, json_schema
from defectscape.settings.groups import exploration_groups, initial_per_charge
from defectscape.settings.load import load_study
from defectscape.settings.paths import study_file
from defectscape.settings.study import Study
from defectscape.summary.file import SUMMARY_DOCUMENTS
from support import ROOT
from support.mistakes import mistake
from support.small_study import small_study

# Generated documents are the committed ones, and every setting is documented.


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


# A charge state added later learns from the others; they never depend on it.


def groups_of(
    defects: list[dict[str, object]],
) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    study = Study.model_validate({**deepcopy(DEFAULT_STUDY), "defects": defects})
    return {group.name: (group.charges, group.learns_from) for group in exploration_groups(study)}


def test_each_defect_is_explored_on_its_own() -> None:
    one = groups_of([{"name": "v_Cd", "charges": ["0", "-1"]}])
    two = groups_of([{"name": "v_Cd", "charges": ["0", "-1"]}, {"name": "Te_Cd", "charges": ["0"]}])
    assert two["v_Cd"] == one["v_Cd"] == ((0, -1), ())
    assert two["Te_Cd"] == ((0,), ())


def test_added_charges_learn_in_order_and_change_nothing_before_them() -> None:
    groups = groups_of([{"name": "v_Cd", "charges": ["0"], "added_charges": ["-1", "-2"]}])
    assert groups == {
        "v_Cd": ((0,), ()),
        "v_Cd.-1": ((-1,), ("v_Cd",)),
        "v_Cd.-2": ((-2,), ("v_Cd", "v_Cd.-1")),
    }


# A defect may learn from those before it; what is added to these later it does not see.


def test_a_defect_learns_from_the_first_charges_of_those_before_it() -> None:
    data: dict[str, Any] = deepcopy(DEFAULT_STUDY)
    data["defects"] = [
        {"name": "v_Cd", "charges": ["0"], "added_charges": ["-1"], "learns": "weights"},
        {"name": "v_Te", "charges": ["0"]},
        {"name": "Te_Cd", "charges": ["0"], "added_charges": ["+1"], "learns": "labels"},
        {"name": "Cd_Te", "charges": ["0"], "added_charges": ["+1"], "learns": "weights"},
    ]
    data["selection"] = {"initial_per_charge_taught": 3}
    study = Study.model_validate(data)
    groups = {group.name: group for group in exploration_groups(study)}
    assert {name: (group.taught_by, group.begins_with) for name, group in groups.items()} == {
        "v_Cd": ((), None),
        "v_Cd.-1": ((), "v_Cd"),
        "v_Te": ((), None),
        "Te_Cd": (("v_Cd", "v_Te"), None),
        "Te_Cd.+1": (("v_Cd", "v_Te"), None),
        "Cd_Te": (("v_Cd", "v_Te", "Te_Cd"), "Te_Cd"),
        "Cd_Te.+1": (("v_Cd", "v_Te", "Te_Cd"), "Cd_Te"),
    }
    # Minima are tried, and families are shared, within a defect alone.
    assert groups["Cd_Te.+1"].learns_from == ("Cd_Te",)
    alone = study.selection.initial_per_charge
    budgets = {name: initial_per_charge(study, group) for name, group in groups.items()}
    assert {name for name, budget in budgets.items() if budget == alone} == {"v_Cd", "v_Te"}
    assert {budgets[name] for name in ("v_Cd.-1", "Te_Cd", "Cd_Te.+1")} == {3}
    data["exploration"] = {"training": {"strategy": "pretrain_finetune"}}
    with pytest.raises(ValueError, match=r"v_Cd learns weights, .* let it learn labels"):
        Study.model_validate(data)


# Relative paths of a study: from its own folder, or from the working directory as in a clone.


def study_with(host: str) -> dict[str, Any]:
    study = small_study()
    study["host"]["file"] = host
    return study


def write(path: Path, study: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(study))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["my/study.yaml", "{here}/my/study.yaml"])
def test_a_study_beside_its_structures_is_used_from_anywhere(here: Path, file: str) -> None:
    study = study_with("hosts/CdTe.vasp")
    write(here / "my/study.yaml", study)
    (here / "my/hosts").mkdir()
    (here / "my/hosts/CdTe.vasp").touch()
    given = Path(file.format(here=here))
    loaded = load_study(given)
    assert loaded.host.file == given.parent / "hosts/CdTe.vasp"
    assert loaded.label_store == given.parent / "labels"
    # Absolute ones stay.
    references = study["thermo"]["elemental_references"]
    assert {k: str(v.file) for k, v in loaded.thermo.elemental_references.items()} == references


def test_in_its_own_folder_the_paths_are_as_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here / "study.yaml", study_with("CdTe.vasp"))
    (here / "CdTe.vasp").touch()
    loaded = load_study(Path("study.yaml"))
    assert (loaded.host.file, loaded.label_store) == (Path("CdTe.vasp"), Path("labels"))


def test_a_study_in_a_clone_names_files_from_the_working_directory(here: Path) -> None:
    write(here / "config/study.yaml", study_with("config/hosts/CdTe.vasp"))
    (here / "config/hosts").mkdir()
    (here / "config/hosts/CdTe.vasp").touch()
    loaded = load_study(Path("config/study.yaml"))
    assert loaded.host.file == Path("config/hosts/CdTe.vasp")
    assert loaded.label_store == Path("labels")


def test_the_study_s_folder_wins_over_the_working_directory(here: Path) -> None:
    write(here / "my/study.yaml", study_with("CdTe.vasp"))
    for place in (here, here / "my"):
        (place / "CdTe.vasp").touch()
    assert load_study(Path("my/study.yaml")).host.file == Path("my/CdTe.vasp")


def test_absolute_files_say_nothing_of_where_the_labels_are(here: Path) -> None:
    write(here / "my/study.yaml", small_study())
    assert load_study(Path("my/study.yaml")).label_store == Path("labels")


# Which file of settings snakemake's options mean.


def test_either_option_names_the_study() -> None:
    assert study_file({}, []) == Path("config/config.yaml")
    assert study_file({"study": "mine.yaml", "results": "r"}, []) == Path("mine.yaml")
    assert study_file({}, [Path("mine.yaml")]) == Path("mine.yaml")
    assert study_file({"study": "other.yaml"}, [Path("mine.yaml")]) == Path("other.yaml")


def test_what_nothing_would_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config studi: mine.yaml.*study=FILE"):
        study_file({"studi": "mine.yaml"}, [])
    with pytest.raises(ConfigError, match="one file"):
        study_file({}, [Path("a.yaml"), Path("b.yaml")])
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(ConfigError, match=r"study=.*mine\.yaml"):
        study_file({"study": str(tmp_path / "mine")}, [])


def test_what_people_give_to_snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").touch()
    taken = study_file({}, [Path("mine.yaml")])
    mistake("study", "`--configfile mine.yaml`", said="", when="snakemake -n, run", right=f"taken as study={taken}")
    with pytest.raises(ConfigError) as short:
        study_file({"study": "mine"}, [])
    mistake("study", "`--config study=mine`", said=short.value, when="snakemake -n, run")
    with pytest.raises(ConfigError) as typo:
        study_file({"studi": "mine.yaml"}, [])
    mistake("study", "`--config studi=mine.yaml`", said=typo.value, when="snakemake -n, run")
    with pytest.raises(ConfigError) as two:
        study_file({}, [Path("mine.yaml"), Path("profile.yaml")])
    mistake("study", "`--configfile` with two files", said=two.value, when="snakemake -n, run")
