"""An ASE calculator of a finished study in one line, its prior put back.

A plain MACECalculator loads the network alone, which over a prior is no energy of anything.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from defectscape.domain.errors import ModelError
from defectscape.engines.prior import EnginePrior
from defectscape.model.committee import Committee, CommitteeCalculator
from defectscape.model.saving import load_network
from defectscape.settings.engine import PriorSettings
from defectscape.store.labels import LabelStore
from defectscape.study.committees import load_committee
from defectscape.study.context import PRIORS, StudyContext

TIGHT_BINDING = "tblite/"


class DefectCalculator(CommitteeCalculator):
    """Energy (eV) and forces (eV/A) of a trained committee in a fixed charge, with its prior.

    ``results`` has ``force_std``, too: the largest standard deviation of an atom's force over the members, eV/A.
    """

    @classmethod
    def of_study(
        cls,
        study: str | Path,
        results: str | Path,
        *,
        charge: int,
        multiplicity: int | None = None,
        fidelity: str | None = None,
        device: str | None = None,
    ) -> Self:
        """Of a study's final committee.

        Args:
            study: the study's YAML file.
            results: folder of all studies' results, as the workflow was given it.
            charge: total charge, e.
            multiplicity: of the spin, 2S + 1, which the prior takes; None for the lowest.
            fidelity: head; None for the high one.
            device: torch device; None for the study's.

        Raises:
            ConfigError: if the study cannot be read.
            ModelError: if the final committee is not there or was not trained on the charge.
        """
        context = StudyContext.load(Path(study), Path(results))
        settings = context.study.training
        if device is not None:
            settings = settings.model_copy(update={"device": device})
        committee = load_committee(context, context.layout.final, settings)
        return cls._of(committee, charge, fidelity or context.fidelity_names[1], multiplicity)

    @classmethod
    def of_files(
        cls,
        paths: Sequence[str | Path],
        *,
        charge: int,
        multiplicity: int | None = None,
        fidelity: str | None = None,
        device: str = "cpu",
    ) -> Self:
        """Of model files alone: a prior of tblite is made again from their card.

        Args:
            paths: ``model_0.model`` and the other members; the ``.weights`` files beside them are read.
            charge, multiplicity, fidelity, device: as for ``of_study``.

        Raises:
            ModelError: if the files cannot be read, the prior cannot be made again, or the charge was not trained on.
        """
        files = [Path(path) for path in paths]
        networks = tuple(load_network(path) for path in files)
        if not networks:
            raise ModelError("committee", "no members", "Give one model file at least")
        card = networks[0].card
        # Nothing is written there: a calculator's geometries are not kept.
        prior = prior_of_card(card.prior, LabelStore(files[0].parent / PRIORS)) if card.prior else None
        return cls._of(Committee(networks, device, prior), charge, fidelity or card.fidelities[-1], multiplicity)

    @classmethod
    def _of(cls, committee: Committee, charge: int, fidelity: str, multiplicity: int | None) -> Self:
        committee.check_state(charge, fidelity)
        return cls(committee, charge, fidelity, multiplicity)


def prior_of_card(text: str, store: LabelStore) -> EnginePrior:
    """The prior that a model card names, made again from its engines' settings.

    Args:
        text: the card's ``prior``.
        store: where values may be found.

    Raises:
        ModelError: if it has another engine than tblite, whose files or programs the card does not hold, or was
            written by another version.
    """
    terms: list[dict[str, Any]] = json.loads(text)
    foreign = [term["engine"] for term in terms if not term["engine"].startswith(TIGHT_BINDING)]
    if foreign:
        raise ModelError(
            "prior of the model",
            f"{foreign[0]} cannot be made from the card alone",
            "Use DefectCalculator.of_study with the study's file, which says where its files and programs are",
        )
    engines = [{"kind": "tblite", **term["settings"]} for term in terms]
    names = ["engine"] if len(engines) == 1 else ["landscape", "engine"]
    try:
        settings = PriorSettings.model_validate(dict(zip(names, engines, strict=False)))
    except ValidationError as error:
        remedy = "Install the version that is named on the card, or use DefectCalculator.of_study"
        raise ModelError("prior of the model", f"{text} is unknown to this version", remedy) from error
    return EnginePrior(settings, store, settings.processes)
