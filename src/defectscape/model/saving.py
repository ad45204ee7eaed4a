"""Two files per model: what mace's calculators load, and what we read.

``model_0.model`` is a whole pickle, for `MACECalculator`; reading it runs it, and this package never
does. ``model_0.weights`` beside it holds the same network as plain values and tensors
(``blueprint.py``), so that models of somebody else's study can be searched with in peace.
"""

from pathlib import Path

from defectscape.domain.errors import ModelError
from defectscape.model.backend import read_tensors, write_file
from defectscape.model.blueprint import Network, blueprint, rebuild
from defectscape.model.layers.arrangement import as_mace_has_it

__all__ = ["Network", "load_network", "save_network", "weights_path"]


def weights_path(path: Path) -> Path:
    """The weights file that belongs to a model file."""
    return path.with_suffix(".weights")


def save_network(network: Network, path: Path) -> None:
    """Write the model on the CPU, each file whole or not at all; the weights come first."""
    network = network.to("cpu").eval()
    with as_mace_has_it(network):
        write_file(weights_path(path), blueprint(network))
        write_file(path, network)


def load_network(path: Path) -> Network:
    """Read a model that ``save_network`` wrote, from its weights file; nothing in it is executed.

    Raises:
        ModelError: if it cannot be read or is another kind of model.
    """
    plain = read_tensors(weights_path(path))
    if not isinstance(plain, dict):
        raise ModelError(
            "weights file",
            f"{weights_path(path)} holds {type(plain).__name__}",
            "Train the model again",
        )
    return rebuild(plain)
