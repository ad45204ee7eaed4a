"""A spin multiplicity that the study states: on every frame of its charge state, and on no other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from defectscape.cli.people import _asked
from defectscape.domain.energies import StateEnergy
from defectscape.domain.errors import ConfigError, DefectError, DefectscapeError
from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import HOST_KEY, DefectKey
from defectscape.domain.label import Label
from defectscape.engines.base import ScfAttempt
from defectscape.files.extxyz import read_frames
from defectscape.sampling.identification import check_spin
from defectscape.settings.structure import DefectSettings
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.references import label_host
from defectscape.stages.relax_starts import relax_starts
from defectscape.stages.sampling import make_group_starts
from defectscape.stages.search import _cross_seeds
from defectscape.study.context import StudyContext
from defectscape.study.frames import read_starts
from defectscape.study.references import read_host_labels
from defectscape.study.stages import find_stage
from defectscape.tools.check import make_plan
from support.small_study import small_study, write_study

NEUTRAL, NEGATIVE = DefectKey("v_Cd", 0), DefectKey("v_Cd", -1)


def stating(folder: Path, multiplicities: dict[str, int]) -> StudyContext:
    study: dict[str, Any] = small_study()
    study["label_store"] = str(folder / "labels")
    study["sampling"] |= {"relaxed_starts": 1, "relaxation_steps": 2}
    if multiplicities:
        study["defects"][0]["multiplicities"] = multiplicities
    folder.mkdir(exist_ok=True)
    return StudyContext.load(write_study(study, folder), folder / "results")


def prepared(folder: Path, multiplicities: dict[str, int]) -> StudyContext:
    context = stating(folder, multiplicities)
    for stage in (prepare_host, label_host, list_sites):
        stage(context)
    make_group_starts(context, "v_Cd")
    return context


@pytest.fixture(scope="module")
def singlet(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    return prepared(tmp_path_factory.mktemp("singlet"), {})


@pytest.fixture(scope="module")
def triplet(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    return prepared(tmp_path_factory.mktemp("triplet"), {"0": 3})


def pool_of(context: StudyContext) -> tuple[Frame, ...]:
    """The pool less the relaxations of starts."""
    return read_frames(context.layout.group("v_Cd").pool)


def spins(frames: list[Frame] | tuple[Frame, ...], key: DefectKey) -> set[int]:
    return {frame.multiplicity for frame in frames if frame.key == key}


def test_every_frame_of_the_state_has_it_and_no_other(singlet: StudyContext, triplet: StudyContext) -> None:
    for frames in (read_starts(triplet, "v_Cd"), pool_of(triplet)):
        assert spins(frames, NEUTRAL) == {3}
        assert spins(frames, NEGATIVE) == {2}
    before, after = ([f for f in pool_of(context) if f.key == NEGATIVE] for context in (singlet, triplet))
    assert [f.geometry_hash for f in before] == [f.geometry_hash for f in after]
    # The same starts, whose labels are others'.
    for one, other in zip(read_starts(singlet, "v_Cd"), read_starts(triplet, "v_Cd"), strict=True):
        assert one.family == other.family
        assert (one.geometry_hash == other.geometry_hash) == (one.key == NEGATIVE)
        assert one.respun(other.multiplicity).geometry_hash == other.geometry_hash


def test_a_relaxation_of_a_start_stays_in_its_spin(triplet: StudyContext) -> None:
    relax_starts(triplet, "v_Cd", NEUTRAL)
    frames = read_frames(triplet.layout.group("v_Cd").relaxed(NEUTRAL))
    assert len(frames) > 1
    assert spins(frames, NEUTRAL) == {3}


def test_a_minimum_of_another_charge_is_tried_in_the_stated_spin(
    triplet: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = next(frame for frame in read_starts(triplet, "v_Cd") if frame.key == NEGATIVE)
    monkeypatch.setattr("defectscape.stages.search.merged", lambda *_: ())
    monkeypatch.setattr(
        "defectscape.stages.search.lowest_including_doubtful",
        lambda *_: [type("Found", (), {"frame": start, "rank": 0})],
    )
    group, _ = triplet.group("v_Cd")
    seeds = _cross_seeds(triplet, group, (), triplet.study.search, triplet.study.minima)
    assert {(seed.charge, seed.multiplicity) for seed in seeds} == {(0, 3)}
    assert start.recharged(0, origin=Origin.START).multiplicity == 1


def test_levels_that_are_emptied_cost_energy(singlet: StudyContext, triplet: StudyContext) -> None:
    """Without exchange both spins fill one set of levels: parallel electrons are never lower, at any geometry."""
    pairs = zip(read_starts(singlet, "v_Cd"), read_starts(triplet, "v_Cd"), strict=True)
    for one, other in list(pairs)[:2]:
        labels = [context.label(frame, "high").label for context, frame in ((singlet, one), (triplet, other))]
        assert labels[0] is not None
        assert labels[1] is not None
        assert labels[1].energy_eV > labels[0].energy_eV


def test_only_its_own_group_runs_again(tmp_path: Path) -> None:
    def text(context: StudyContext, group: str) -> str:
        return find_stage("starts").settings_text(context.study, {"group": group})

    def study(multiplicities: dict[str, int], folder: Path) -> StudyContext:
        content = small_study()
        content["defects"] = [
            {"name": "v_Cd", "charges": ["0"], "added_charges": ["-1"]} | {"multiplicities": multiplicities},
            {"name": "v_Te", "charges": ["0"]},
        ]
        folder.mkdir()
        return StudyContext.load(write_study(content, folder), folder)

    plain, stated = study({}, tmp_path / "a"), study({"-1": 4}, tmp_path / "b")
    assert "multiplicities" not in text(plain, "v_Cd")
    assert [text(plain, name) == text(stated, name) for name in ("v_Cd", "v_Cd.-1", "v_Te")] == [True, False, True]


def test_a_multiplicity_that_the_electrons_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(
        DefectError, match=r"multiplicities of v_Cd: 2 of v_Cd_0 is impossible with \d+ electrons"
    ) as caught:
        make_plan(stating(tmp_path, {"0": 2}))
    assert caught.value.remedy == "Give an odd one: number of unpaired electrons plus one"


def test_the_check_says_what_is_stated_and_that_it_is_not_told_apart(tmp_path: Path) -> None:
    context = stating(tmp_path, {"0": 3})
    plan = make_plan(context)
    assert [_asked(key, context.study.stated_multiplicities) for key in plan.keys] == [
        "v_Cd_0 (multiplicity 3)",
        "v_Cd_-1",
    ]
    assert [line for line in plan.warnings if "spin" in line] == [
        "v_Cd_0: a spin multiplicity is stated, but IPEA1-xTB does not tell spins apart: parallel electrons cost the "
        "energy of the levels that they fill, and gain none"
    ]


@pytest.mark.parametrize(
    ("multiplicities", "said"),
    [
        ({"-2": 3}, "name charge -2, which is not computed"),
        ({"0": 0}, "greater than or equal to 1"),
        ({"1": 2}, "Write it with its sign"),
        ({"0": 3.0}, "valid integer"),
    ],
)
def test_half_said_multiplicities_are_refused(multiplicities: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DefectSettings.model_validate({"name": "v_Cd", "charges": ["0", "-1"], "multiplicities": multiplicities})


def test_charges_stay_signed_text_in_the_file() -> None:
    values = {"name": "v_Cd", "charges": ["0", "+1"], "multiplicities": {"+1": 4}}
    settings = DefectSettings.model_validate(values)
    assert settings.multiplicities == {1: 4}
    assert settings.model_dump(mode="json", exclude_defaults=True) == values


def test_an_imported_frame_has_the_stated_spin(triplet: StudyContext) -> None:
    frame = next(frame for frame in read_starts(triplet, "v_Cd") if frame.key == NEUTRAL)
    check_spin(frame, 3)
    for stated in (None, 5):
        with pytest.raises(DefectscapeError, match="multiplicity 3, the study computes v_Cd_0 with"):
            check_spin(frame, stated)


# A ferromagnet: all moments parallel, so that no state has the lowest multiplicity.


EXCHANGE_EV, MOMENTS = 0.05, 8


class Exchange:
    """A crystal whose energy falls by the exchange energy with each parallel electron."""

    name, version, attempts = "exchange", "1", (ScfAttempt("plain", "as it is"),)
    settings_json = "{}"

    def settings_of(self, numbers: np.ndarray) -> str:
        return "{}"

    def compute(self, frame: Frame, attempt: int) -> Label:
        return Label(-EXCHANGE_EV * frame.unpaired, np.zeros((len(frame), 3)), None, 0.0, 1.0)


def ferromagnet(folder: Path, change: dict[str, Any] | None = None) -> StudyContext:
    study: dict[str, Any] = small_study()
    study["label_store"] = str(folder / "labels")
    study["host"]["multiplicity"] = MOMENTS + 1
    study["defects"][0]["multiplicities"] = {"0": MOMENTS + 3, "-1": MOMENTS + 2}
    for level in ("low", "high"):
        study["fidelities"][level]["engine"] = {
            "kind": "ase",
            "calculator": "support.faulty.Pairs",
            "method": f"exchange {level}",
            "charge": "charge",
            "multiplicity": "magmoms",
        }
    study |= change or {}
    folder.mkdir(exist_ok=True)
    return StudyContext.load(write_study(study, folder), folder / "results")


def test_a_ferromagnet_and_its_defects_keep_their_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ferromagnet(tmp_path)
    monkeypatch.setattr(StudyContext, "engine", lambda self, level: Exchange())
    for stage in (prepare_host, label_host, list_sites):
        stage(context)
    make_group_starts(context, "v_Cd")
    assert read_host_labels(context).high.energy_eV == pytest.approx(-EXCHANGE_EV * MOMENTS)
    assert (spins(pool_of(context), NEUTRAL), spins(pool_of(context), NEGATIVE)) == ({MOMENTS + 3}, {MOMENTS + 2})
    assert context.study.stated_multiplicities[HOST_KEY] == MOMENTS + 1


def test_a_ferromagnet_needs_a_multiplicity_for_every_state(tmp_path: Path) -> None:
    defects = [{"name": "v_Cd", "charges": ["0", "-1"], "multiplicities": {"0": MOMENTS + 1}}]
    with pytest.raises(ConfigError, match="multiplicities of v_Cd: none for charge -1"):
        ferromagnet(tmp_path, {"defects": defects})


def test_no_ferromagnet_without_exchange(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a ferromagnet, but the engine of .* does not tell spins apart"):
        ferromagnet(tmp_path, {"fidelities": small_study()["fidelities"]})


def test_paired_hosts_are_not_labelled_again(tmp_path: Path) -> None:
    """Whether it says nothing, or that its electrons are paired."""
    texts = []
    for multiplicity in (None, 1):
        study = small_study()
        study["host"]["multiplicity"] = multiplicity
        context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
        texts.append(find_stage("host_labels").settings_text(context.study, {}))
    assert texts[0] == texts[1]
    assert "host.multiplicity" not in texts[0]
    assert '"host.multiplicity": 9' in find_stage("host_labels").settings_text(ferromagnet(tmp_path).study, {})


def test_a_moment_that_the_host_holds_has_one_direction(triplet: StudyContext) -> None:
    """A free triplet has three orientations in a field of none; the exchange with a ferromagnet leaves one."""
    frame = next(frame for frame in read_starts(triplet, "v_Cd") if frame.key == NEUTRAL)
    free, held = (StateEnergy(NEUTRAL, frame, -1.0, 0.0, True, spin_degeneracy=given) for given in (None, 1))
    assert (free.spin_degeneracy, held.spin_degeneracy) == (3, 1)
