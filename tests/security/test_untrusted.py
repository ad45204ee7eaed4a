"""Studies and stores from somebody else are data: nothing in them is run, and nothing leaves its folder."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import DefectscapeError, EngineError, StoreError
from defectscape.engines.ase_calculator import calculator_class
from defectscape.engines.program import run_program
from defectscape.settings.load import load_study
from defectscape.store.labels import LabelStore
from support import ROOT
from support.small_study import small_study, write_study

MARK = "pwned"
NAMES = [
    "../outside",
    "a/b",
    "/tmp/x",
    "..",
    "-rf",
    "a b",
    f"$(touch {MARK})",
    f"a;touch {MARK}",
    f"`touch {MARK}`",
    f"a|touch {MARK}",
    "a\ntouch",
    "v_Cd\n",
    "a'b",
    'a"b',
    "a*",
    "~",
]


def with_value(path: tuple[str | int, ...], value: str) -> dict[str, Any]:
    study: Any = small_study()
    place = study
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    whole: dict[str, Any] = study
    return whole


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "path",
    [("study",), ("defects", 0, "name"), ("fidelities", "low", "name"), ("defects", 0, "charges", 0)],
    ids=lambda path: str(path[-1]),
)
def test_names_that_become_paths_or_words_of_a_shell_are_refused(
    tmp_path: Path, path: tuple[str | int, ...], name: str
) -> None:
    with pytest.raises(DefectscapeError):
        load_study(write_study(with_value(path, name), tmp_path))


def run_workflow(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
    )


def test_file_names_reach_no_shell(tmp_path: Path) -> None:
    """Odd names of the host's file, the study's file and the results folder work, and run nothing."""
    study = small_study()
    host = tmp_path / f"host $(touch {MARK}).vasp"
    host.write_text(Path(study["host"]["file"]).read_text())
    study["host"]["file"] = str(host)
    odd = tmp_path / f"my;touch {MARK}.yaml"
    write_study(study, tmp_path).rename(odd)
    results = f"results `touch {MARK}`"
    done = run_workflow(
        tmp_path, f"{results}/small/host/host.json", "--config", f"study={odd.name}", f"results={results}"
    )
    assert not list(tmp_path.rglob(MARK)), "a name was run by a shell"
    assert done.returncode == 0, done.stderr
    assert (tmp_path / results / "small/host/host.json").is_file()


@pytest.mark.parametrize(
    "text",
    [
        f"study: !!python/object/apply:os.system ['touch {MARK}']",
        f"!!python/object/new:subprocess.Popen [['touch', '{MARK}']]",
    ],
)
def test_a_config_makes_no_objects(tmp_path: Path, monkeypatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(DefectscapeError):
        load_study(path)
    assert not (tmp_path / MARK).exists()


def test_an_engine_s_command_has_no_shell(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_program(f"echo hello; touch {MARK} $(touch {MARK})", [], tmp_path, 10.0)
    assert done.returncode == 0
    assert not (tmp_path / MARK).exists()
    assert "$(touch" in done.output


@pytest.mark.parametrize("path", ["subprocess.Popen", "os.system", "shutil.rmtree", "ase.Atoms"])
def test_what_is_no_calculator_is_never_called(path: str) -> None:
    with pytest.raises(EngineError):
        calculator_class(path)


def test_modules_in_the_study_s_folder_are_not_imported(tmp_path: Path) -> None:
    """The engine's process would otherwise take the folder's files for Python's own modules."""
    for name in ("json", "numpy", "tblite", "ase"):
        (tmp_path / f"{name}.py").write_text(f"open({MARK!r}, 'w').close()\n")
    write_study(small_study(), tmp_path)
    done = run_workflow(tmp_path, "results/small/host/references.json", "--config", "study=study.yaml")
    assert not (tmp_path / MARK).exists(), "a file of the study was imported"
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_record_cannot_name_a_place_outside_the_store(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels")
    for key in ("../../outside", "/etc/passwd", "a" * 63 + "/"):
        with pytest.raises(StoreError):
            store.get(key)
    shard = tmp_path / "labels/records/aa"
    shard.mkdir(parents=True)
    (shard / f"{'a' * 64}.json").write_text(json.dumps({"key": "../../outside", "format": 2}))
    assert store.damaged() == [shard / f"{'a' * 64}.json"]


FORBIDDEN = {"eval", "exec", "compile", "__import__"}


def test_the_package_has_no_other_way_to_run_data() -> None:
    """No eval, no pickle but the one door of trusted models, no shell, no unsafe YAML."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if (
                name in FORBIDDEN
                or name.startswith(("pickle.", "os.system", "os.popen"))
                or keywords.get("shell") == "True"
                or keywords.get("allow_pickle") == "True"
                or (name == "yaml.load" and "_UniqueKeyLoader" not in keywords.get("Loader", ""))
                or name in ("yaml.unsafe_load", "yaml.full_load")
                or (name == "torch.load" and path.name != "backend.py")
            ):
                found.append(f"{path.name}:{node.lineno} {name}")
    assert found == []
