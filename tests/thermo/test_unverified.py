"""Levels of a study whose engine failed at every minimum: the energies and bars are the committees'."""

import json
import warnings
from typing import Any

import numpy as np
import pytest

from defectscape.domain.keys import DefectKey
from defectscape.domain.minimum import Minimum, VerifiedMinimum
from defectscape.files.quiet import quiet
from defectscape.files.tables import save_verified
from defectscape.sampling.sites import defect_frame
from defectscape.settings.groups import exploration_groups
from defectscape.stages import thermo
from defectscape.stages.host import list_sites, prepare_host
from defectscape.stages.thermo import compute_levels
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, site_of
from defectscape.study.levels import read_levels
from defectscape.study.references import ReferenceLabel, References, write_references
from defectscape.summary import provenance
from support.small_study import small_study, write_study

MEMBERS_EV = {0: (-30.0, -30.3), -1: (-28.0, -28.32), -2: (-26.0, -26.3)}
"""Two members, 0.3 eV apart in every charge state, and 0.02 eV more in one."""


def _reference(name: str, numbers: tuple[int, ...], energy_eV: float, cbm_eV: float | None = None) -> ReferenceLabel:
    vbm_eV = None if cbm_eV is None else 0.0
    return ReferenceLabel(name, "", numbers, energy_eV, vbm_eV, cbm_eV, "1", 0.0)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StudyContext:
    folder = tmp_path_factory.mktemp("unverified")
    study = small_study()
    study["defects"] = [{"name": "v_Cd", "charges": ["0", "-1"], "added_charges": ["-2"]}]
    made = StudyContext.load(write_study(study, folder), folder / "results")
    prepare_host(made)
    list_sites(made)
    bulk = _reference("host", (48, 52) * 4, -36.0, 1.5)
    elements = _reference("Cd", (48,), -2.0), _reference("Te", (52,), -4.0)
    write_references(made, References(bulk, bulk, elements, ()))
    host = read_host(made)
    for group in exploration_groups(made.study):
        for key in group.keys:
            frame = defect_frame(host, site_of(made, key.defect), key.charge)
            members = MEMBERS_EV[key.charge]
            minimum = Minimum(0, frame, float(np.mean(members)), members, 0.01, 0.1, (), True)
            save_verified(
                made.layout.group(group.name).verified(str(key)),
                [VerifiedMinimum(minimum, None, frame, None, 0)],
            )
    return made


def test_a_level_of_one_committee_has_the_spread_of_the_difference(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The final committee would only follow the engine's forces, and there are none.
    monkeypatch.setattr(thermo, "load_committee", lambda *_: None)
    compute_levels(context)
    found = read_levels(context)
    assert [state.verified for state in found.ground_states] == [False] * 3
    std_eV = {charge: float(np.std(e, ddof=1)) for charge, e in MEMBERS_EV.items()}
    assert {s.key: s.uncertainty_eV for s in found.formation if s.limit == "Cd-rich"} == {
        DefectKey("v_Cd", charge): pytest.approx(std) for charge, std in std_eV.items()
    }
    bars = {level.label: level.uncertainty_eV for level in found.levels}
    assert bars["(0/-1)"] == pytest.approx(0.02 / np.sqrt(2))
    # -2 was added later and searched with a committee of its own.
    assert bars["(-1/-2)"] == pytest.approx(np.hypot(std_eV[-1], std_eV[-2]))


def test_what_a_library_warns_of_reaches_the_report(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    build = thermo.build_diagram

    def warning(*arguments: Any) -> Any:
        with quiet("doped"):
            warnings.warn("the band gaps differ", UserWarning, stacklevel=1)
        return build(*arguments)

    monkeypatch.setattr(thermo, "load_committee", lambda *_: None)
    monkeypatch.setattr(thermo, "build_diagram", warning)
    compute_levels(context)
    found = read_levels(context)
    assert "doped: the band gaps differ" in found.warnings
    for other in ("_host_states", "_jumps"):
        monkeypatch.setattr(provenance, other, lambda context: [])
    monkeypatch.setattr(provenance, "_gaps", lambda context, defects: [])
    assert "doped: the band gaps differ" in provenance.warnings(context, [], found)


def test_levels_without_warnings_stay_readable(context: StudyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """As studies have them that were finished before warnings were kept."""
    monkeypatch.setattr(thermo, "load_committee", lambda *_: None)
    compute_levels(context)
    path = context.layout.energies
    content = json.loads(path.read_text())
    assert content.pop("warnings") == []
    path.write_text(json.dumps(content))
    assert read_levels(context).warnings == ()
