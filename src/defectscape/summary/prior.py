"""What the summary says of the prior under the model: what it is, what it failed for, what it cost."""

from collections import Counter

from defectscape.domain.frame import Frame
from defectscape.engines.prior import EnginePrior
from defectscape.settings.engine import EngineSettings, PriorSettings
from defectscape.settings.groups import label_rounds
from defectscape.study.context import StudyContext
from defectscape.study.frames import imported_frames
from defectscape.study.labels import round_outcomes
from defectscape.study.minima import verification_labels
from defectscape.summary.schema import CostRow, PriorSummary, PriorTerm

LEVEL = "the prior"
"""Its name where fidelities stand; no fidelity can be called so."""


def prior_summary(context: StudyContext) -> PriorSummary | None:
    """The prior of a study, with its failures and its cost for the study's labelled frames; None without one."""
    prior, settings = context.prior, context.study.prior
    if prior is None or settings is None:
        return None
    found = [records for frame in _labelled(context) if (records := prior.recorded(frame))]
    failures = Counter(
        next(str(record.failure) for record in records if record.failure)
        for records in found
        if any(record.failure for record in records)
    )
    keys = {record.key for records in found for record in records}
    calls = [call for call in prior.store.calls() if call.key in keys]
    return PriorSummary(
        text=in_words(settings),
        terms=_terms(prior),
        store=str(prior.store.root),
        frames=len(found),
        failed=failures.total(),
        failures=dict(failures),
        calls=len(calls),
        core_s=sum(call.core_s for call in calls),
    )


def in_words(settings: PriorSettings) -> str:
    """What the prior is, in a phrase."""
    engine = _name(settings.engine)
    if settings.landscape is None:
        return f"{engine} in the charge of each state"
    return (
        f"{_name(settings.landscape)} in charge 0, plus {engine} in the charge of each state, less {engine} in charge 0"
    )


def cost_rows(found: PriorSummary | None) -> list[CostRow]:
    """Its row of the cost ledger; none without a prior."""
    if found is None:
        return []
    done = found.frames - found.failed
    return [CostRow(stage="labelled frames", fidelity=LEVEL, labels=done, failed=found.failed, core_s=found.core_s)]


def _name(engine: EngineSettings) -> str:
    return f"{engine.method} ({engine.kind})"


def _terms(prior: EnginePrior) -> list[PriorTerm]:
    return [
        PriorTerm(
            engine=term.engine.kind,
            method=term.engine.method,
            settings=text,
            sign=term.sign,
            neutral=term.neutral,
        )
        for term, text in zip(prior.terms, prior.settings_texts, strict=True)
    ]


def _labelled(context: StudyContext) -> list[Frame]:
    """The study's labelled frames, each once: of its rounds, imported, and of the verification."""
    frames = [item.frame for item in verification_labels(context)]
    for group in context.groups:
        frames += imported_frames(context, group.name)
        for fidelity in ("low", "high"):
            for number in label_rounds(context.study, fidelity, context.study.exploration.rounds):
                for outcome in round_outcomes(context, group.name, number, fidelity):
                    record = context.store.get(outcome.key)
                    frames += [] if record is None else [record.frame]
    return list({frame.frame_id: frame for frame in frames}.values())
