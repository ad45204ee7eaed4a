"""Model files: whole pickles, as mace's calculators load them.

Loading one needs defectscape installed, and nothing else special. It runs the file: only files that
this package, or somebody trusted, wrote.
"""

from pathlib import Path

from defectscape.domain.errors import ModelError
from defectscape.model.backend import read_model_file, write_file
from defectscape.model.delta import DeltaMACE
from defectscape.model.network import ChargedMACE

Network = ChargedMACE | DeltaMACE
"""What a strategy may yield."""


def save_network(network: Network, path: Path) -> None:
    """Write the model, on the CPU and whole or not at all, as mace's calculators load it."""
    write_file(path, network.to("cpu").eval())


def load_network(path: Path) -> Network:
    """Read a model that ``save_network`` wrote (a pickle: trusted files only).

    Raises:
        ModelError: if it cannot be read or is another kind of model.
    """
    network = read_model_file(path)
    if not isinstance(network, Network):
        remedy = "It is not a defectscape model; train one"
        raise ModelError("model file", f"{path} holds {type(network).__name__}", remedy)
    return network
