"""One optimisation: an own thin loop around mace's classes.

mace's command line has no weight per head, follows the last head only, cannot stop early and
restarts from the wrong step, hence this loop. It uses Adam (amsgrad) with a linear warm-up and a
cosine down to 1% of the peak rate at the last step, gradient norms clipped at 10, and an
exponential moving average of the weights, which is what is validated and kept.

Score, minimised over validations: force RMSE (eV/A) + 10 / A times energy RMSE per atom (eV/atom),
on the highest fidelity trained; on all frames if none of it is held out for validation. The energy
errors in it are those left once each fidelity and charge has its best constant, because the
constants are refitted to the training frames at the end (``constants.py``).

The learning rate and the frames of a step are functions of the step, so a checkpoint holds weights,
average, optimiser, step and best weights, and a restarted training ends bitwise where an
uninterrupted one does (on one machine, on the CPU). The checkpoint of the last step stays: a strategy
of two phases that is killed in the second finds the first one finished.
"""

import logging
import math
import time
from pathlib import Path

import torch
from torch_ema import ExponentialMovingAverage

from defectscape.domain.errors import ModelError
from defectscape.model.backend import mace_modules
from defectscape.model.checkpoint import read_checkpoint, write_checkpoint
from defectscape.model.constants import refit_constants
from defectscape.model.dataset import batch_members, collate
from defectscape.model.history import TrainingHistory, Validation
from defectscape.model.layers.arrangement import arrange, restore
from defectscape.model.network import ChargedMACE
from defectscape.model.preparation import Phase, Preparation, prepare
from defectscape.model.validation import errors_as_written
from defectscape.settings.training import TrainingSettings

logger = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 10.0
WARM_UP_STEPS = 100
FINAL_RATE = 0.01


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Rate of a step (from 0): linear warm-up (100 steps, at most a tenth), then a cosine."""
    warm_up = max(1, min(WARM_UP_STEPS, settings.steps // 10))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    fraction = (step - warm_up) / max(1, settings.steps - 1 - warm_up)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return settings.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def train_phase(phase: Phase, device: torch.device, checkpoint: Path | None) -> tuple[ChargedMACE, TrainingHistory]:
    """Optimise one network. Called inside ``numerics``.

    Args:
        phase: data, settings and start.
        device: where to train.
        checkpoint: file to continue from if it fits, written at every validation; None for none.

    Raises:
        ModelError: as ``train_member``.
    """
    run = _Run(prepare(phase), device, checkpoint)
    history = run.run()
    restore(run.network)
    return run.network, history


class _Run:
    """The state of one training, and its steps. Lives inside ``numerics``."""

    def __init__(self, prepared: Preparation, device: torch.device, checkpoint: Path | None) -> None:
        settings = prepared.phase.settings
        self.prepared, self.settings, self.device = prepared, settings, device
        self.checkpoint = checkpoint
        self.member, self.seed = prepared.card.member, prepared.card.seed
        self.name = prepared.phase.name
        self.network = prepared.network.to(device)
        arrange(self.network)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.average = ExponentialMovingAverage(self.parameters, decay=settings.ema_decay)
        self.optimiser = torch.optim.Adam(self.parameters, lr=settings.learning_rate, amsgrad=True, fused=True)
        self.loss = mace_modules.WeightedEnergyForcesLoss(
            energy_weight=settings.energy_weight, forces_weight=settings.forces_weight
        ).to(device)
        self.step = 0
        self.seconds = self.core_s = 0.0
        self.best_step, self.best_score = 0, math.inf
        self.best_weights: list[torch.Tensor] = []
        self.points: list[Validation] = []

    def run(self) -> TrainingHistory:
        """Train to the end; the network then has the best averaged weights."""
        self._restore()
        train, valid = self.prepared.train_frames, self.prepared.valid_frames
        logger.info("member %d, %s: training on %s, validating on %s", self.member, self.name, train, valid)
        reason = self._loop()
        with torch.no_grad():
            for parameter, best in zip(self.parameters, self.best_weights, strict=True):
                parameter.copy_(best)
        refit_constants(self.network, self.prepared.graphs, self.settings.batch_size, self.device)
        text = "member %d, %s: %s at step %d, best at %d"
        logger.info(text, self.member, self.name, reason, self.step, self.best_step)
        return self._history(reason)

    def _loop(self) -> str:
        """Steps and validations until there is a reason to stop."""
        settings = self.settings
        begun, before, first = time.monotonic(), self.seconds, self.step
        core_begun, core_before = time.process_time(), self.core_s
        losses: list[float] = []
        while True:
            # A checkpoint is written before the decision, so a restart decides again, alike.
            if self.points and self._waited() >= settings.patience:
                return "no improvement"
            if self.step >= settings.steps:
                return "step limit"
            losses.append(self._advance())
            if self.step % settings.validate_every == 0 or self.step == settings.steps:
                self._validate(sum(losses) / len(losses))
                losses.clear()
                elapsed = time.monotonic() - begun
                self.seconds = before + elapsed
                self.core_s = core_before + time.process_time() - core_begun
                left = elapsed / (self.step - first) * (settings.steps - self.step)
                self._log(left)
                self._save()

    def _waited(self) -> int:
        """Validations since the best one."""
        return sum(point.step > self.best_step for point in self.points)

    def _advance(self) -> float:
        """One optimiser step; its loss."""
        graphs = self.prepared.graphs
        members = batch_members(len(graphs), self.settings.batch_size, self.seed, self.step)
        batch = collate([graphs[i] for i in members], self.device)
        rate = learning_rate(self.step, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        out = self.network(batch.to_dict(), training=True)
        learned = {"energy": out["interaction_energy"], "forces": out["forces"]}
        loss = self.loss(batch, learned)
        if not bool(torch.isfinite(loss)):
            remedy = "Lower `learning_rate`, or look for outliers among the labels"
            raise ModelError(f"training loss at step {self.step}", loss.item(), remedy)
        # Forces made the positions part of the graph; their gradient would be thrown away.
        loss.backward(inputs=self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.average.update()
        self.step += 1
        return loss.item()

    def _validate(self, loss: float) -> None:
        """Errors of the averaged weights; they are kept if the score is the lowest so far."""
        with self.average.average_parameters():
            energy, forces, score = self.prepared.validator.errors(self.network, self.device, refit_constants=True)
        rate = learning_rate(self.step - 1, self.settings)
        self.points.append(Validation(self.step, loss, rate, score, energy, forces))
        if score < self.best_score:
            self.best_step, self.best_score = self.step, score
            self.best_weights = [shadow.clone() for shadow in self.average.shadow_params]

    def _log(self, left_s: float) -> None:
        point = self.points[-1]
        errors = ", ".join(
            f"{name} {point.energy_rmse_meV_atom[name]:.2f} meV/atom {point.forces_rmse_meV_A[name]:.0f} meV/A"
            for name in point.energy_rmse_meV_atom
        )
        logger.info(
            "member %d, %s: step %d/%d, loss %.4g, validation %s, best at %d, %.0f s left at most",
            self.member,
            self.name,
            self.step,
            self.settings.steps,
            point.loss,
            errors,
            self.best_step,
            left_s,
        )

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "core_s": self.core_s,
            "weights": [parameter.detach() for parameter in self.parameters],
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best_step": self.best_step,
            "best_score": self.best_score,
            "best_weights": self.best_weights,
            "points": [vars(point) for point in self.points],
        }
        write_checkpoint(self.checkpoint, self.prepared.digest, state)

    def _restore(self) -> None:
        state = None if self.checkpoint is None else read_checkpoint(self.checkpoint, self.prepared.digest)
        if state is None:
            return
        with torch.no_grad():
            for parameter, value in zip(self.parameters, state["weights"], strict=True):
                parameter.copy_(value)
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.core_s = state.get("core_s", 0.0)  # unknown in checkpoints of earlier versions
        self.best_step, self.best_score = state["best_step"], state["best_score"]
        self.best_weights = [value.to(self.device) for value in state["best_weights"]]
        self.points = [Validation(**point) for point in state["points"]]
        logger.info("member %d, %s: continuing from step %d", self.member, self.name, self.step)

    def _history(self, reason: str) -> TrainingHistory:
        energy, forces = errors_as_written(self.network, self.prepared.valid, self.settings.batch_size, self.device)
        return TrainingHistory(
            phase=self.name,
            member=self.member,
            seed=self.seed,
            fidelities=self.prepared.card.fidelities,
            train_frames=self.prepared.train_frames,
            valid_frames=self.prepared.valid_frames,
            parameters=sum(parameter.numel() for parameter in self.parameters),
            validations=tuple(self.points),
            best_step=self.best_step,
            best_score=self.best_score,
            energy_rmse_meV_atom=energy,
            forces_rmse_meV_A=forces,
            stop_reason=reason,
            seconds=self.seconds,
            core_s=self.core_s,
        )
