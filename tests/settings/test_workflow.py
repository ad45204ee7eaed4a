"""Which file of settings snakemake's options mean."""

from pathlib import Path

import pytest

from defectscape.domain.errors import ConfigError
from defectscape.settings.workflow import study_file
from support.mistakes import mistake


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
