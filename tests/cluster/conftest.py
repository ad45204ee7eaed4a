"""One Slurm node for all tests of clusters, and the study of pair energies."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faulty_study import pooled, searched
from support.slurm_node import SlurmNode, why_not

__all__ = ["node", "pooled", "searched"]


@pytest.fixture(scope="session")
def node() -> Iterator[SlurmNode]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    # Below /var/tmp: munge refuses folders that others may write into on the way to its socket.
    folder = Path(tempfile.mkdtemp(prefix="defectscape-slurm-", dir="/var/tmp"))
    node = SlurmNode(folder, cpus=4)
    node.start()
    yield node
    node.stop()
    shutil.rmtree(folder, ignore_errors=True)
