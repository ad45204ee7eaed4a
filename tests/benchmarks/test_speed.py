"""Timings of relaxations: the same outcome whatever the batch, on sizes that were not trained on."""

from pathlib import Path

import pytest

from benchmarks.timing.speed import measure_speed
from defectscape.domain.label import LabelledFrame
from defectscape.files.tables import read_json
from defectscape.model.training import train_member
from defectscape.study.context import StudyContext
from support.morse import frame_of, label_of
from support.small_study import small_study, write_study


def test_together_and_one_by_one_come_to_the_same(tmp_path: Path) -> None:
    study = small_study()
    study["search"] |= {"fmax_eV_A": 0.2, "max_steps": 6}
    context = StudyContext.load(write_study(study, tmp_path), tmp_path / "results")
    data = [
        LabelledFrame(frame, label_of(frame, depth), name)
        for frame in (frame_of("a", q, seed) for q in (0, 1) for seed in range(4))
        for name, depth in (("gfn1", 0.3), ("ipea1", 0.36))
    ]
    for member in range(2):
        train_member(
            data,
            data[:4],
            context.fidelity_names,
            context.study.training,
            1,
            member,
            context.layout.final.model(member),
        )
    matrices = [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[2, 0, 0], [0, 1, 0], [0, 0, 1]]]
    target = tmp_path / "speed.json"
    rows = measure_speed(context, matrices, (3,), 3, target)
    assert [(row.atoms, row.batch_size) for row in rows] == [(7, 1), (7, 3), (15, 1), (15, 3)]
    for alone, together in zip(rows[::2], rows[1::2], strict=True):
        assert together.energy_spread_eV < 1e-2
        assert together.steps == pytest.approx(alone.steps, abs=3)
        assert together.per_minute > 0
    assert len(read_json(target)) == 4
