"""Our loop against mace's own command: both train the same network on the same frames."""

import numpy as np
from test_arms import frame_of, label_of

from defectscape.benchmarks.throughput import measure_throughput
from defectscape.domain.label import LabelledFrame
from defectscape.settings.training import Training


def test_our_loop_is_not_slower_than_mace_s() -> None:
    frames = [frame_of("a", charge, seed) for charge in (0, 1) for seed in range(24)]
    data = [LabelledFrame(frame, label_of(frame, 0.3), "low") for frame in frames]
    settings = Training(
        committee=2, channels=16, r_max_A=5.0, steps=1, batch_size=4, learning_rate=0.01,
        patience=9, dtype="float32",
    )  # fmt: skip
    result = measure_throughput(data, settings, 1)
    assert result.frames == 44
    assert result.atoms == 7
    assert np.isfinite(result.ratio)
    # Measured 1.0 to 1.1; a half leaves room for a busy machine.
    assert result.ratio > 0.5
    assert result.mace[0] > 0
