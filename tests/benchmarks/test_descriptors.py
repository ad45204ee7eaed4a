"""Descriptors of a model: invariant, aware of the charge, and blind once the charge is forced."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from benchmarks.learning.descriptors import describe, draw_projection, project
from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Frame
from defectscape.domain.label import LabelledFrame
from defectscape.model.saving import load_network
from defectscape.model.training import train_member
from defectscape.settings.training import TrainingSettings
from support.morse import frame_of, label_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("descriptors") / "m"
    data = [
        LabelledFrame(frame, label_of(frame, depth), name)
        for frame in (frame_of("a", q, seed) for q in (0, 1) for seed in range(6))
        for name, depth in (("low", 0.3), ("high", 0.36))
    ]
    settings = TrainingSettings(
        committee=2,
        channels=6,
        r_max_A=4.2,
        steps=30,
        batch_size=6,
        learning_rate=0.01,
        ema_decay=0.9,
        validate_every=10,
        patience=9,
    )
    train_member(data, data[:4], ("low", "high"), settings, 1, 0, path)
    return path


def test_descriptors_do_not_turn_with_the_structure(model: Path) -> None:
    frame = frame_of("b", 0, 1)
    turn = Rotation.random(random_state=3).as_matrix()
    order = np.random.default_rng(0).permutation(len(frame))
    turned = Frame(
        frame.numbers[order],
        (frame.positions_A @ turn.T)[order],
        frame.cell_A @ turn.T,
        frame.key,
        1,
        frame.origin,
        frame.family,
    )
    one, other = describe(load_network(model), [frame, turned], None)
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert one.shape == (12,)
    assert np.abs(one - describe(load_network(model), [frame_of("b", 0, 2)], None)[0]).max() > 1e-3


def test_with_the_charge_forced_the_same_geometry_is_the_same(model: Path) -> None:
    frame = frame_of("c", 0, 1)
    charged = frame.recharged(1, origin=frame.origin)
    network = load_network(model)
    free = describe(network, [frame, charged], None)
    assert np.abs(free[0] - free[1]).max() > 1e-3
    forced = describe(network, [frame, charged], 0)
    np.testing.assert_allclose(forced[0], forced[1], atol=1e-12)


def test_the_control_has_no_separation(model: Path, tmp_path: Path) -> None:
    frames = [frame_of("d", 0, seed) for seed in range(8)]
    frames += [frame.recharged(1, origin=frame.origin) for frame in frames]
    seen, forced = draw_projection(tmp_path / "pca", model, frames)
    assert seen.silhouette > forced.silhouette + 0.2
    assert forced.silhouette < 0.05
    assert (tmp_path / "pca.png").stat().st_size > 5000
    with pytest.raises(ModelError, match="several charge states"):
        project(load_network(model), frames[:3])
