"""The benchmarks are outside the package: nothing of a study knows them, and they cannot stop one."""

import subprocess
import sys
from pathlib import Path
from typing import get_origin, get_type_hints

import pytest

from benchmarks.hard.tables import RESULTS_DOCUMENTS
from benchmarks.learning.gathering import BenchmarkResult
from benchmarks.learning.outcome import read_outcomes
from benchmarks.learning.settings import DOCUMENTS as MODEL_DOCUMENTS
from defectscape.files.codec import decode
from defectscape.files.tables import read_json
from defectscape.tools.direct_search import SearchComparison
from defectscape.tools.foundation import FoundationComparison
from support import ROOT
from support.small_study import small_study, write_study

DOCUMENTS = {**MODEL_DOCUMENTS, **RESULTS_DOCUMENTS}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "damaged.yaml"
    path.write_text("name: [no benchmark\n")
    return path


@pytest.mark.parametrize("place", ["config/benchmarks/model.yaml", "benchmarks/config/model.yaml"])
def test_a_damaged_benchmark_stops_no_study(tmp_path: Path, damaged: Path, place: str) -> None:
    write_study(small_study(), tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    damaged.rename(tmp_path / place)
    snakefile = str(ROOT / "Snakefile")
    done = run(
        tmp_path, "snakemake", "--snakefile", snakefile, "--cores", "1", "--dry-run", "--config", "study=study.yaml"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "train_final" in done.stdout + done.stderr


def test_a_damaged_benchmark_stops_the_benchmarks_in_one_line(damaged: Path) -> None:
    done = run(
        ROOT,
        "snakemake",
        "--snakefile",
        "benchmarks/Snakefile",
        "--cores",
        "1",
        "--dry-run",
        "--config",
        f"benchmark={damaged}",
    )
    assert done.returncode != 0
    assert f"error: config file: {damaged}. It is not valid YAML" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_benchmarks_plan_every_run(tmp_path: Path) -> None:
    done = run(
        ROOT,
        "snakemake",
        "--snakefile",
        "benchmarks/Snakefile",
        "--cores",
        "1",
        "--dry-run",
        "--directory",
        str(ROOT),
        "--config",
        f"results={tmp_path / 'results'}",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    words = (done.stdout + done.stderr).split()
    assert words[words.index("model_run") + 1] == "234"


def test_a_user_sees_no_benchmark_but_the_comparisons_of_her_study() -> None:
    text = run(ROOT, "defectscape", "--help").stdout
    assert "benchmark" not in text.lower()
    for command in ("direct-search", "foundation-search"):
        assert command in text
    text = run(ROOT, "benchmarks", "--help").stdout
    for command in ("run", "model", "throughput", "speed", "scale", "physics"):
        assert command in text.split()


def test_a_run_that_is_known_is_told_and_not_trained(tmp_path: Path) -> None:
    words = ["benchmarks", "--results", str(tmp_path), "run", "benchmarks/config/model.yaml"]
    done = run(ROOT, *words, "dft-converged-heads-64-0-1")
    assert done.returncode == 0, done.stderr
    known = read_outcomes(ROOT / "benchmarks/model")["dft-converged-heads-64-0-1"]
    assert f"{known.errors[0].force_rmse_meV_A:.1f} meV/A, {known.steps} steps" in done.stdout
    assert not list(tmp_path.rglob("*.model"))
    unknown = run(ROOT, *words, "dft-converged-heads-65-0-1")
    assert unknown.returncode == 1
    assert "error: run: dft-converged-heads-65-0-1. The benchmark has 234 others" in unknown.stderr


@pytest.mark.parametrize("name", DOCUMENTS)
def test_committed_documents_are_current(name: str) -> None:
    remedy = f"run `python -m benchmarks documents` to renew {name}"
    assert (ROOT / name).read_text() == DOCUMENTS[name](), remedy


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("search_cdte", SearchComparison),
        ("search_sb2se3_dft_low", SearchComparison),
        ("foundation_chgnet_cdte", FoundationComparison),
        ("foundation_chgnet_sb2se3_dft", FoundationComparison),
        ("model", BenchmarkResult),
    ],
)
def test_committed_results_are_in_the_words_of_today(name: str, kind: type) -> None:
    content, hints = read_json(ROOT / f"benchmarks/{name}.json"), get_type_hints(kind)
    assert set(content) == set(hints)
    for field, hint in hints.items():
        if get_origin(hint) is tuple:
            assert len(decode(hint, content[field])) == len(content[field])
