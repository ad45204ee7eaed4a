"""The one door to torch, e3nn and mace: safe import, dtype and threads, reading and writing.

e3nn 0.4.4 reads a bundled file with ``torch.load``, which torch >= 2.6 refuses because the file
holds a ``slice``. mace works around that by setting ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` for the
whole process and its children, which makes every later ``torch.load`` run any code a file holds.
Here ``slice`` alone is declared safe before e3nn is imported, and the variable is put back as it
was after mace is imported. Whole models are pickles all the same: ``read_model_file`` is the one
place that executes one, and only a file that its user has trusted (``trust.py``).
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from defectscape.domain.errors import ModelError
from defectscape.files.atomic import replacing
from defectscape.model.trust import check_trusted

_VARIABLE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_before = os.environ.get(_VARIABLE)

torch.serialization.add_safe_globals([slice])

import e3nn  # noqa: E402
from e3nn import o3  # noqa: E402
from e3nn.nn import FullyConnectedNet  # noqa: E402
from mace import data as mace_data  # noqa: E402
from mace import modules as mace_modules  # noqa: E402
from mace.modules import symmetric_contraction  # noqa: E402
from mace.modules.embeddings import GenericJointEmbedding  # noqa: E402
from mace.modules.symmetric_contraction import SymmetricContraction  # noqa: E402
from mace.tools import AtomicNumberTable  # noqa: E402
from mace.tools.torch_geometric.batch import Batch  # noqa: E402

if _before is None:
    os.environ.pop(_VARIABLE, None)

__all__ = [
    "AtomicNumberTable",
    "Batch",
    "FullyConnectedNet",
    "GenericJointEmbedding",
    "SymmetricContraction",
    "find_device",
    "mace_data",
    "mace_modules",
    "numerics",
    "o3",
    "read_model_file",
    "read_tensors",
    "symmetric_contraction",
    "to_numpy",
    "unscripted",
    "write_file",
]

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def find_device(name: str) -> torch.device:
    """The torch device called ``name``.

    Raises:
        ModelError: if it is ``cuda`` and there is none.
    """
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("device", repr(name), "torch finds no CUDA device: set `device: cpu`")
    return torch.device(name)


@contextmanager
def numerics(dtype: str, device: torch.device) -> Iterator[None]:
    """Default dtype and one CPU thread; both restored on leaving.

    One thread, because sums split over threads round differently, and because a busy machine makes
    two threads much slower than one; it makes the CPU bitwise reproducible. On CUDA some of mace's
    scatter operations have no deterministic kernel: results there agree to rounding only.
    """
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(DTYPES[dtype])
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_default_dtype(before[0])
        if device.type == "cpu":
            torch.set_num_threads(before[1])


@contextmanager
def unscripted() -> Iterator[None]:
    """e3nn builds its layers as Python, not as TorchScript, where there is no GPU; as before on leaving.

    Scripting them takes more than half of the time of building a network. On a CPU nothing is gained by it: most of
    them are replaced (``layers``), and the others give the same numbers as fast. A model file has scripts in any case.
    """
    before = e3nn.get_optimization_defaults()["jit_script_fx"]
    e3nn.set_optimization_defaults(jit_script_fx=before and torch.cuda.is_available())
    try:
        yield
    finally:
        e3nn.set_optimization_defaults(jit_script_fx=before)


def write_file(path: Path, content: object) -> None:
    """``torch.save`` to ``path``, whole or not at all."""
    with replacing(path) as stream:
        torch.save(content, stream)


def read_tensors(path: Path) -> Any:
    """Read tensors and plain Python values; nothing in the file is executed.

    Raises:
        ModelError: if the file cannot be read.
    """
    return _read(path, weights_only=True)


def read_model_file(path: Path) -> Any:
    """Read a whole pickled model onto the CPU. **Executes the file**, so it must be trusted.

    Raises:
        ModelError: if the file cannot be read, or its user has not trusted it.
    """
    check_trusted(path)
    return _read(path, weights_only=False)


def _read(path: Path, *, weights_only: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=weights_only)
    except FileNotFoundError as error:
        raise ModelError("model file", path, "There is no such file; train it first") from error
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        ImportError,
        IndexError,
        pickle.UnpicklingError,
    ) as error:
        raise ModelError("model file", path, f"It cannot be read ({error}); train again") from error


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A detached float64 copy on the CPU."""
    return tensor.detach().cpu().numpy().astype(np.float64)
