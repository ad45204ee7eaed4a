"""`defectscape new` writes a study that is whole in its folder; `defectscape run` gives snakemake its words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from defectscape.cli.app import app
from defectscape.cli.new import EXAMPLES
from defectscape.cli.run import snakemake_words
from defectscape.domain.errors import ConfigError
from defectscape.settings.load import load_study, read_study
from defectscape.settings.paths import input_files
from support import ROOT
from support.small_study import small_study, write_study


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*words: str) -> str:
    return CliRunner().invoke(app, ["new", *words], catch_exceptions=False).output


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_all_its_files_beside_it(here: Path, name: str) -> None:
    new("--example", name, "my")
    study = here / "my/study.yaml"
    written, original = read_study(study), read_study(ROOT / "config" / EXAMPLES[name])
    for mine, source in zip(input_files(written), input_files(original), strict=True):
        assert (here / "my" / mine).read_bytes() == (ROOT / source).read_bytes()
    # Nothing but the places of files is another.
    places = {"host", "thermo"}
    assert written.model_dump(exclude=places) == original.model_dump(exclude=places)
    loaded = load_study(Path("my/study.yaml"))
    assert loaded.host.file.is_file()
    assert loaded.label_store == "my" / original.label_store
    text = study.read_text()
    assert "config/" not in text
    schema = text.partition("$schema=")[2].split()[0]
    assert (here / "my" / schema).read_text() == (ROOT / "config/schema.json").read_text()
    assert (here / "my/KEYS.md").read_text() == (ROOT / "config/README.md").read_text()


@pytest.mark.parametrize("theirs", ["study.yaml", "hosts/CdTe.vasp"])
def test_nothing_is_overwritten(here: Path, theirs: str) -> None:
    (here / "my" / theirs).parent.mkdir(parents=True)
    (here / "my" / theirs).write_text("mine")
    with pytest.raises(ConfigError, match=theirs):
        new("--example", "cdte", "my")
    assert [p for p in (here / "my").rglob("*") if p.is_file()] == [here / "my" / theirs]
    assert (here / "my" / theirs).read_text() == "mine"


@pytest.mark.parametrize("words", [["--example", "cdt", "my"], ["my"]])
def test_a_wrong_name_is_told_the_right_ones(here: Path, words: list[str]) -> None:
    with pytest.raises(ConfigError, match=", ".join(EXAMPLES)):
        new(*words)
    assert not (here / "my").exists()


def test_a_study_of_its_own_folder_runs_there(here: Path) -> None:
    new("--example", "cdte", "my")
    words = snakemake_words(Path("my/study.yaml"), ["-n", "report"], 2)
    assert words[:2] == ["--snakefile", str(ROOT / "Snakefile")]
    assert words[2:] == [
        "--config",
        "study=study.yaml",
        "--directory",
        "my",
        "--cores",
        "2",
        "-n",
        "report",
    ]
    # Told another directory, snakemake has to find the study from there.
    words = snakemake_words(Path("my/study.yaml"), ["--directory", "other"])
    assert f"study={here / 'my/study.yaml'}" in words
    assert words.count("--directory") == 1


def test_a_study_of_a_clone_runs_in_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    words = snakemake_words(Path("config/config.yaml"), results=tmp_path)
    assert words[2:] == [
        "--config",
        "study=config/config.yaml",
        f"results={tmp_path}",
        "--cores",
        "all",
    ]


def test_settings_given_to_snakemake_keep_the_study(here: Path) -> None:
    study = write_study(small_study(), here)
    for given in (["--config", "results=x"], ["-C", "results=x"], ["--config=results=x"]):
        words = snakemake_words(study, [*given, "-n"])
        place = words.index("--config")
        assert words[place:] == ["--config", f"study={study}", "results=x", "-n"]
        assert words.count("--config") == 1


def test_a_profile_says_how_many_jobs_there_are(here: Path) -> None:
    study = write_study(small_study(), here)
    words = snakemake_words(study, profile="sge")
    assert words[words.index("--profile") + 1] == str(ROOT / "profiles/sge")
    assert "--cores" not in words
    assert "--cores" not in snakemake_words(study, ["--profile=mine"])
    assert "--cores" in snakemake_words(study, profile="sge", cores=1)
    assert snakemake_words(study, profile="mine")[-1] == "mine"


def test_the_words_and_the_end_are_snakemake_s(here: Path) -> None:
    """A target that no rule makes: the check passes, the command is shown, snakemake ends with 1."""
    write_study(small_study(), here)
    done = subprocess.run(
        [sys.executable, "-m", "defectscape", "run", "study.yaml", "--", "-n", "no-such-file"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    command = f"snakemake --snakefile {ROOT / 'Snakefile'} --config study=study.yaml --cores all -n no-such-file"
    assert command in done.stdout
    assert "MissingRuleException" in done.stdout


@pytest.mark.parametrize("name", ["cluster-generic", "sge"])
def test_a_profile_finds_its_script_from_any_folder(here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from snakemake.profiles import ProfileConfigFileParser

    with (ROOT / "profiles" / name / "config.yaml").open() as file:
        options = ProfileConfigFileParser().parse(file)
    assert os.access(options["cluster-generic-status-cmd"], os.X_OK)
