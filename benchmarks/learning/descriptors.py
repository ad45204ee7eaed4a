"""What a model's descriptors know of the charge, with the control that such a figure needs.

Descriptors see the charge because it is an input: a separation by charge in a projection proves that
it arrives, not that structure was learned from it. So the same frames are described once more with
the charge of all of them forced to one value; what separation is left comes from the geometries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Floats, Frame
from defectscape.model.backend import numerics, to_numpy
from defectscape.model.dataset import Graphs, collate
from defectscape.model.saving import Network, load_network
from defectscape.report.figures.style import PALETTE
from defectscape.tools.figures import save_figure

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Projection:
    """Two principal components of averaged descriptors.

    Attributes:
        title: what was done to the charge.
        points: (m, 2).
        explained: shares of the variance, (2,).
        silhouette: separation by true charge in the full space, -1 to 1; 0 is none.
    """

    title: str
    points: Floats
    explained: Floats
    silhouette: float


def describe(network: Network, frames: Sequence[Frame], charge: int | None) -> Floats:
    """Invariant descriptors, averaged over atoms, (m, d).

    Args:
        network: a trained model; its highest fidelity is asked.
        frames: structures.
        charge: given to all frames instead of their own, or None.
    """
    maker, fidelity = Graphs.of(network.card), network.card.fidelities[-1]
    part = cast(Any, network)
    invariants = sum(int(product.linear.irreps_out.count("0e")) for product in part.products)
    first = int(part.products[0].linear.irreps_out.count("0e"))
    width = int(part.products[0].linear.irreps_out.dim)
    rows = []
    with numerics(network.card.dtype, CPU):
        for frame in frames:
            asked = frame if charge is None else frame.recharged(charge, origin=frame.origin)
            data = collate([maker.frame(asked, fidelity)], CPU).to_dict()
            features = to_numpy(network(data, compute_force=False)["node_feats"])
            # Scalars come first in each layer; later layers of these networks are scalars alone.
            scalars = np.hstack([features[:, :first], features[:, width:]])
            rows.append(scalars[:, :invariants].mean(axis=0))
    return np.array(rows)


def project(network: Network, frames: Sequence[Frame]) -> tuple[Projection, Projection]:
    """Projections with the true charges, and with all charges forced to that of the first.

    Raises:
        ModelError: if the frames are of one charge only.
    """
    charges = [frame.charge for frame in frames]
    if len(set(charges)) < 2:
        raise ModelError("frames", "of one charge", "Give frames of several charge states")
    made = []
    for title, forced in (("true charge", None), (f"charge forced to {charges[0]:+d}", charges[0])):
        values = describe(network, frames, forced)
        values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-12)
        pca = PCA(n_components=2).fit(values)
        made.append(
            Projection(
                title,
                pca.transform(values),
                pca.explained_variance_ratio_,
                float(silhouette_score(values, charges)),
            )
        )
    return made[0], made[1]


def draw_projection(path: Path, model: Path, frames: Sequence[Frame]) -> tuple[Projection, ...]:
    """Both projections of a model's descriptors, side by side, as PNG and PDF."""
    projections = project(load_network(model), frames)
    charges = sorted({frame.charge for frame in frames})
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), constrained_layout=True)
    for axis, projection in zip(axes, projections, strict=True):
        for index, charge in enumerate(charges):
            mine = np.array([frame.charge == charge for frame in frames])
            axis.plot(
                *projection.points[mine].T,
                "o",
                markersize=4,
                alpha=0.8,
                color=PALETTE[index % len(PALETTE)],
                label=f"{charge:+d}" if charge else "0",
            )
        axis.set_title(f"{projection.title}, silhouette {projection.silhouette:.2f}", fontsize=10)
        for name, side, share in zip(
            ("first", "second"),
            (axis.set_xlabel, axis.set_ylabel),
            projection.explained,
            strict=True,
        ):
            side(f"{name} component ({100 * share:.0f}%)")
    axes[0].legend(frameon=False, fontsize=8, title="charge")
    save_figure(figure, path.parent, path.stem)
    return projections
