"""Our loop against mace's own command: both train the same network on the same frames."""

import numpy as np
import pytest

from benchmarks.timing.throughput import _rate, measure_throughput
from defectscape.domain.errors import ModelError
from defectscape.domain.label import LabelledFrame
from defectscape.settings.training import TrainingSettings
from support.morse import frame_of, label_of


def test_our_loop_is_not_slower_than_mace_s() -> None:
    frames = [frame_of("a", charge, seed) for charge in (0, 1) for seed in range(24)]
    data = [LabelledFrame(frame, label_of(frame, 0.3), "low") for frame in frames]
    settings = TrainingSettings(
        committee=2,
        channels=16,
        r_max_A=5.0,
        steps=1,
        batch_size=4,
        learning_rate=0.01,
        patience=9,
        dtype="float32",
    )
    # Twenty epochs of 44 small frames: six core-seconds and more beyond the imports, which vary by one.
    result = measure_throughput(data, settings, 1, (1, 21))
    assert result.frames == 44
    assert result.atoms == 7
    assert np.isfinite(result.ratio)
    # A half leaves room for a busy machine.
    assert result.ratio > 0.5
    assert result.mace[0] > 0


def test_a_difference_that_imports_hide_is_refused() -> None:
    taken = iter([7.0, 6.5])
    with pytest.raises(ModelError, match=r"4 epochs took 6\.5 core-s, 1 took 7\.0"):
        _rate(44, (1, 4), lambda _: next(taken))
