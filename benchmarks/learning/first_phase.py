"""The first phase of a strategy of two, trained once for all runs that differ in the number of labels alone.

It sees low-fidelity labels only, which these runs have in common. So it is trained by itself, and its
checkpoint is copied to where the training of a run looks for its own: that finds its first phase finished.
"""

import shutil
from pathlib import Path

from benchmarks.learning.data import RunData
from defectscape.model.backend import find_device, numerics
from defectscape.model.job import Job
from defectscape.settings.training import TrainingSettings

TWO_PHASES = ("pretrain_finetune", "delta")


def share_first_phase(data: RunData, settings: TrainingSettings, seed: int, shared: Path, checkpoint: Path) -> None:
    """Finish the first phase, if it is not finished yet, and hand its checkpoint to a training.

    Args:
        data: of the run.
        settings: of the run.
        seed: of the member.
        shared: its checkpoint lies beside this path, as ``<shared>.first``, and stays.
        checkpoint: of the training that goes on from there.
    """
    device, low = find_device(settings.device), data.fidelities[0]
    job = Job(data.train, data.valid, data.fidelities, settings, seed, 0, device, None, shared)
    with numerics(settings.dtype, device):
        job.run("first phase", *job.part(low), (low,), None, first=True, steps=job.pretrain_steps)
    _, first = job.checkpoints
    shutil.copyfile(first, checkpoint.with_name(f"{checkpoint.name}.first"))
