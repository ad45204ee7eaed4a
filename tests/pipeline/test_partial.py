"""The jobs of a study told without Snakemake, and the page of its finished defects while another one has failed."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from defectscape.domain.errors import ConfigError, StoreError
from defectscape.domain.frame import Origin
from defectscape.files.extxyz import read_frames, write_frames
from defectscape.settings.groups import exploration_groups
from defectscape.settings.load import load_study
from defectscape.study.jobs import PAGE, TOGETHER, jobs_of_group, jobs_of_host, jobs_together
from defectscape.study.label_counts import label_counts, where_easy
from defectscape.study.layout import PARTIAL, Layout
from defectscape.study.minima import read_minima, write_minima
from defectscape.study.stages import STAGES
from defectscape.summary.searched import Searched
from defectscape.tools.progress import Progress, partial_layout
from defectscape.tools.status import look_at
from defectscape.tools.status_text import status_lines
from support.mistakes import mistake
from support.small_study import StudyContext, jobs_of, small_study, write_study
from support.workflow import ENVIRONMENT, snakemake

pytestmark = pytest.mark.pipeline

VASP = {
    "kind": "vasp",
    "functional": "pbe",
    "command": "vasp_gam",
    "potcar_dir": "nowhere",
    "potcars": {"Cd": "Cd", "Te": "Te"},
    "cutoff_eV": 300.0,
    "kpoints": [1, 1, 1],
}
"""It gives potentials; to list jobs, nothing of it has to be there."""


def asked_for_everything() -> dict[str, Any]:
    """The small study with a job of every stage."""
    study = small_study()
    study["label_jobs"] = 3
    study["host"]["stability"] = {"starts": 2, "steps": 3, "curvature_labels": 4}
    study["defects"] = [
        {"name": "v_Cd", "charges": ["0", "-1"], "added_charges": ["-2", "+1"]},
        {"name": "v_Te", "charges": ["0"], "learns": "weights"},
    ]
    study["sampling"] |= {"relaxed_starts": 1, "relaxation_steps": 2}
    study["selection"] |= {"low_per_charge_per_round": 2, "low_relaxed_minima": 1, "low_relaxation_steps": 1}
    study["selection"]["recharged_per_charge_per_round"] = 1
    study["selection"]["initial_per_charge_taught"] = 3
    study["exploration"] |= {"rounds": 2, "settled_eV": 0.1}
    study["search"]["until_nothing_new"] = {}
    study["fidelities"]["high"] = {"name": "pbe", "engine": VASP}
    study["thermo"]["correction"]["kind"] = "efnv"
    return study


PACKING = {"job_minutes": 10, "job_cores": 2, "low": {"label_s": 90.0}, "high": {"label_s": 300.0}}
"""Another number of jobs for the pool, for the first high-fidelity labels, and for those of a round."""


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("packing", [None, PACKING])
def test_the_jobs_are_those_of_the_workflow(
    everything: bool, packing: dict[str, Any] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = asked_for_everything() if everything else small_study()
    config = write_study({**settings, "packing": packing}, Path())
    study, layout = load_study(config), Layout(Path("results/small"))
    groups = [job for group in exploration_groups(study) for job in jobs_of_group(study, layout, group)]
    ours = [*jobs_of_host(study, layout), *groups, *jobs_together(study, layout)]
    told = {(j.stage, j.arguments): ({*map(str, j.outputs)}, str(j.log), str(j.benchmark)) for j in ours}
    theirs = {(j.rule, j.arguments): ({*j.outputs}, j.log, j.benchmark) for j in jobs_of(config, Path("results"))}
    assert told == theirs
    assert len(ours) == len(told)
    chunks = Counter(job.arguments[:3] for job in ours if job.stage == "label")
    assert (len(set(chunks.values())) == 1) == (packing is None), chunks
    if everything:
        assert {job.stage for job in ours} == {stage.name for stage in STAGES}
    assert {*PAGE, "handover"} == {*TOGETHER} == {job.stage for job in jobs_together(study, layout)}


def test_packed_jobs_have_the_memory_of_a_prior_on_all_their_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prior takes the cores that the job has, not those that it has in jobs of other stages."""
    low, high = (level["engine"] for level in small_study()["fidelities"].values())
    engine = {**high, "electronic_temperature_K": 1500.0}
    monkeypatch.chdir(tmp_path)
    for prior, prior_MB in ((None, 0), ({"engine": engine, "landscape": low}, 2000)):
        cost = {"label_s": 60.0, "label_MB": 300}
        packing = {"job_minutes": 60, "job_cores": 4, "low": cost, "high": cost}
        config = write_study({**small_study(), "prior": prior, "packing": packing}, Path())
        labels = [job for job in jobs_of(config, Path("results")) if job.rule == "label"]
        assert {job.memory_MB for job in labels} == {4 * (300 + prior_MB)}


def test_no_page_of_a_study_without_a_finished_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_study(small_study(), Path())
    with pytest.raises(ConfigError) as nothing:
        partial_layout(Progress.look(config))
    for job in jobs_of_host(load_study(config), Layout(Path("results/small"))):
        for path in job.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    with pytest.raises(ConfigError) as early:
        partial_layout(Progress.look(config))
    mistake("study", "`defectscape report --partial` too early", said=(nothing.value, early.value), when="report")


def touch(paths: Iterable[Path]) -> None:
    """Write files that hold nothing."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[]" if path.suffix == ".json" else "")


def test_a_defect_that_learns_from_one_that_failed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = small_study()
    given["defects"] += [
        {"name": "Te_Cd", "charges": ["0"]},
        {"name": "v_Te", "charges": ["0"], "learns": "labels"},
    ]
    config = write_study(given, Path())
    study, layout = load_study(config), Layout(Path("results/small"))
    host, jobs = jobs_of_host(study, layout), {}
    for group in exploration_groups(study):
        jobs[group.name] = jobs_of_group(study, layout, group)
    touch(path for job in (*host, *jobs["Te_Cd"]) for path in job.outputs)
    jobs["v_Cd"][0].log.parent.mkdir(parents=True)
    jobs["v_Cd"][0].log.write_text("error: no such site\n")
    touch(path for job in jobs["v_Te"] if job.stage in ("starts", "select", "label") for path in job.outputs)
    touch(layout.group("v_Te").round(0).jumps(level) for level in ("low", "high"))
    touch([layout.group("v_Te").round(0).data_low, layout.group("v_Te").round(0).data_high])
    waits = "it learns from v_Cd, whose job starts has failed"
    for done in (False, True):
        if done:
            # What it had learned before is not what it would learn now.
            touch(path for job in jobs["v_Te"] for path in job.outputs)
        progress = Progress.look(config)
        assert {item.group: (item.stage, item.state, item.reason) for item in progress.unfinished} == {
            "v_Cd": ("starts", "failed", "no such site"),
            "v_Te": ("train 0 0", "left", waits),
        }
        assert partial_layout(progress).part == PARTIAL, "the other defect has its page"
    layout.host_labels.unlink()
    layout.references.unlink()
    text = " ".join(" ".join(status_lines(look_at(config, Path("results")))).split())
    assert "v_Te v_Te_0: not finished" in text
    assert f"waits {waits}" in text
    assert "makes one of Te_Cd" in text


@pytest.fixture(scope="module")
def failed(finished: StudyContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The finished study with a defect that the host cannot have, run with all jobs that can go on; its folder.

    What the study had made of all groups together is taken away: the new defect would have replaced it.
    """
    folder = tmp_path_factory.mktemp("failed")
    shutil.copytree(finished.layout.folder, folder / "results/small")
    shutil.copytree(finished.store.root, folder / "labels")
    results = folder / "results/small"
    for name in ("final", "thermo", "ccd", "minima", "figures", "tables", "handover"):
        shutil.rmtree(results / name)
    for name in ("summary.json", "report.html", "minima.extxyz"):
        (results / name).unlink()
    study = small_study()
    study["defects"].append({"name": "v_Zn", "charges": ["0", "-1"]})
    study["defects"][0]["added_charges"] = ["-2"]
    write_study(study, folder)
    done = snakemake(
        folder, "--keep-going", "results/small/groups/v_Zn/minima.json", "results/small/groups/v_Cd/minima.json"
    )
    assert done.returncode != 0
    assert "Error in rule starts" in done.stdout + done.stderr
    return folder


def partial(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "defectscape", "report", "--partial", "study.yaml", "--cores", "2", *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def without(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without what tells one run from another."""
    return {name: summary[name] for name in summary if name not in {"jobs", "overhead", "provenance", "unfinished"}}


def test_the_page_of_the_finished_defects(failed: Path, finished: StudyContext) -> None:
    before = {path: path.stat().st_mtime_ns for path in (failed / "results").rglob("*") if path.is_file()}
    made = partial(failed)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-6000:]
    results = failed / "results/small"
    after = {path: path.stat().st_mtime_ns for path in (failed / "results").rglob("*") if path.is_file()}
    assert before.items() <= after.items(), "a file of the study was changed"
    assert all(path.is_relative_to(results / PARTIAL) for path in after.keys() - before.keys())

    summary = json.loads((results / PARTIAL / "summary.json").read_text())
    rows = {row["group"]: row for row in summary["unfinished"]}
    assert rows["v_Zn"]["keys"] == ["v_Zn_0", "v_Zn_-1"]
    assert (rows["v_Zn"]["stage"], rows["v_Zn"]["state"]) == ("starts", "failed")
    assert rows["v_Zn"]["reason"].startswith("defect: 'v_Zn'")
    assert (failed / rows["v_Zn"]["log"]).read_text().endswith(f"error: {rows['v_Zn']['reason']}\n")
    assert (rows["v_Cd.-2"]["stage"], rows["v_Cd.-2"]["state"]) == ("starts", "left")
    # The same as the study of the finished defect alone, to the last digit.
    whole = json.loads(finished.layout.summary.read_text())
    assert "unfinished" not in whole
    assert without(summary) == without(whole)

    page = (results / PARTIAL / "report.html").read_text()
    # After the link for keyboards.
    first = re.sub(r"<[^>]+>", "", page.partition("<body>")[2].partition("</a>")[2]).strip().splitlines()[0]
    assert first.startswith("Partial: ")
    assert "v_Zn (0), v_Zn (−1)" in first
    assert rows["v_Zn"]["log"] in page
    assert "v_Cd: the formation energies of v_Cd (−2), and the level −1/−2" in page
    assert "v_Zn: the formation energies of v_Zn (0), v_Zn (−1), and the level 0/−1." in page
    again = partial(failed)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_whole_page_says_nothing_of_parts(finished: StudyContext) -> None:
    assert "artial" not in finished.layout.report.read_text().partition("<h1>")[0]
    with pytest.raises(ConfigError, match=r"all defects are finished\. The page is .*report\.html"):
        partial_layout(Progress.look(finished.layout.folder.parents[1] / "study.yaml"))


def test_a_study_that_runs_again_is_looked_at_between_its_jobs(finished: StudyContext, tmp_path: Path) -> None:
    """Frames were chosen anew and not yet labelled, minima found anew and not yet verified; someone reads the log."""
    shutil.copytree(finished.layout.folder, tmp_path / "results/small")
    config = write_study(small_study(), tmp_path)
    context = StudyContext.load(config, tmp_path / "results")
    (group,) = context.groups
    chosen = context.layout.group(group.name).round(0).selected
    frames = read_frames(chosen)
    # Not the first: the plain relaxation of the verification has labelled the unperturbed start, too.
    write_frames(chosen, frames[:-1])
    logs = tmp_path / ".snakemake/log"
    logs.mkdir(parents=True)
    (logs / "1.snakemake.log").touch()
    reader = subprocess.Popen(["tail", "-f", logs / "1.snakemake.log"], cwd=tmp_path)
    try:
        found = look_at(config, context.layout.folder.parent)
    finally:
        reader.terminate()
        reader.wait()
    assert found.snakemake == "not at work"
    before = look_at(finished.layout.folder.parents[1] / "study.yaml", finished.layout.folder.parent)
    place = str(frames[-1].key), context.fidelity_names[1]
    done, was = ({(row.of, row.fidelity): row.done for row in status.labels}[place] for status in (found, before))
    assert done == was - 1

    Searched.read(context, group)
    minima = [
        replace(m, frame=m.frame.moved(m.frame.positions_A + 0.01, origin=Origin.MINIMUM))
        for m in read_minima(context, group.name)
    ]
    write_minima(context, group.name, minima)
    with pytest.raises(StoreError, match="is not the one that the search has found since"):
        Searched.read(context, group)


def test_counts_of_labels_add_up(tmp_path: Path) -> None:
    study = load_study(write_study(asked_for_everything(), tmp_path))
    starts, low, high = label_counts(study)
    # Starts: 2 and 2 distortions, with 2 rattles each; 2 steps of a relaxation; 2 chosen in each of 2 rounds, 2 handed
    # to other charges and 2 by them; and 2 relaxations of minima begun in each, with a label, which take 1 step in this
    # round and in the next. And the host, of which 2 distortions are relaxed for 3 steps.
    assert (starts, low) == (4, 1 + 2 * (1 + 3) + 5 * (4 * 3 + 2 + 2 * (2 + 2 + 2) + 2 * (1 + 1) + 2 * (1 + 2)))
    # Chosen first, tested, chosen in 2 rounds; 4 turns of verification, each of a minimum and 1 step; three states
    # learn from others and are given one less. Host and elements; 2 points of both curves of 3 diagrams; potentials of
    # the host and of each charge state; curvature of the host; the other spin of each charge state.
    assert high == 4 + 5 * (4 + 1 + 2 * 2 + 4 * 2) - 3 + 3 + 2 * 2 * 3 + 1 + 5 + 5
    # Easy states: a plain relaxation of 4 labels, and a label at the one minimum.
    assert where_easy(study) == 5 * (4 * 2 - (4 + 1))
