"""A study's search against direct relaxations: truth and cost, as one file and a figure.

From one comparison with all starts follows how the costs of both searches grow with the number of starts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from defectscape.files.tables import write_json
from defectscape.sampling.site_names import pick_site
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, read_sites
from defectscape.summary.file import read_summary
from defectscape.tools.direct_relaxations import DirectSearch
from defectscape.tools.figures import draw_truth
from defectscape.tools.search_truth import KeyTruth, LevelTruth, all_truths, level_truths


@dataclass(frozen=True)
class GrowthRow:
    """Both searches with ``starts`` starts per defect and charge.

    Attributes:
        starts: number of starts.
        direct_calls, direct_core_s: of relaxing that many with the engine, mean over all choices of them.
        direct_found: ground states among them that are right, mean over all choices.
        our_core_s: labels, trainings and searches; the searches alone grow with the starts.
        ratio: direct over ours, core-seconds.
    """

    starts: int
    direct_calls: float
    direct_core_s: float
    direct_found: float
    our_core_s: float
    ratio: float


def growth(rows: Sequence[KeyTruth], fixed_core_s: float, search_core_s: float) -> tuple[GrowthRow, ...]:
    """A row for every number of starts that all keys have.

    Args:
        rows: of all keys.
        fixed_core_s: ours, whatever the number of starts: labels and trainings.
        search_core_s: of our relaxations of all starts.
    """
    most = min((row.starts for row in rows), default=0)
    found = []
    for starts in range(1, most + 1):
        calls = sum(row.calls * starts / row.starts for row in rows)
        direct = sum(row.core_s * starts / row.starts for row in rows)
        ours = fixed_core_s + search_core_s * starts / most
        right = sum(chance(row.starts, row.right_starts, starts) for row in rows)
        found.append(
            GrowthRow(
                starts, round(calls, 1), round(direct, 1), round(right, 2), round(ours, 1), round(direct / ours, 3)
            )
        )
    return tuple(found)


def chance(all_starts: int, right: int, drawn: int) -> float:
    """Probability that among ``drawn`` of ``all_starts`` is one at least of the ``right`` ones."""
    return 1 - math.comb(all_starts - right, drawn) / math.comb(all_starts, drawn)


@dataclass(frozen=True)
class Cost:
    """What finding the ground states took.

    Attributes:
        our_low_calls, our_high_calls: labels of the study, verification and references included.
        our_label_core_s: their processor time, s.
        our_training_core_s, our_search_core_s: of the models, and of relaxing starts with them, s; 0 if the
            study has none of Snakemake's benchmark files.
        direct_calls, direct_core_s: of the direct relaxations.
    """

    our_low_calls: int
    our_high_calls: int
    our_label_core_s: float
    our_training_core_s: float
    our_search_core_s: float
    direct_calls: int
    direct_core_s: float


@dataclass(frozen=True)
class SearchComparison:
    """Truth and cost of a study's search."""

    study: str
    engine: str
    fmax_eV_A: float
    direct: DirectSearch
    keys: tuple[KeyTruth, ...]
    levels: tuple[LevelTruth, ...]
    cost: Cost
    growth: tuple[GrowthRow, ...]


def _named(context: StudyContext, search: DirectSearch) -> DirectSearch:
    """The search with the keys under our names."""
    if search.keys is None:
        return search
    host, sites = read_host(context), read_sites(context)
    parts = [key.rpartition("_") for key in search.keys]
    keys = (f"{pick_site(sites, name, host).name}_{charge}" for name, _, charge in parts)
    return replace(search, keys=tuple(keys))


def compare_search(context: StudyContext, target: Path, search: DirectSearch) -> SearchComparison:
    """Compare a finished study's search with direct relaxations; JSON to ``target``, a figure beside it.

    Raises:
        StoreError: if the study has not run to its summary.
        ConfigError: for a key or a start that it does not have.
        DefectError: for a key whose defect is no site, or may be several.
    """
    search = _named(context, search)
    rows = all_truths(context, search)
    cost = _cost(context, rows)
    ours = cost.our_label_core_s + cost.our_training_core_s
    result = SearchComparison(
        context.study.study,
        context.fidelity_settings(search.level).engine.method,
        search.fmax_eV_A or context.study.search.fmax_eV_A,
        search,
        rows,
        level_truths(rows),
        cost,
        # A part of the keys or starts says nothing of the whole study's costs.
        growth(rows, ours, cost.our_search_core_s) if search.whole else (),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, result)
    draw_truth(result.keys, search, result.engine, context.fidelity_settings("high").engine.method, target)
    return result


def _cost(context: StudyContext, rows: tuple[KeyTruth, ...]) -> Cost:
    summary = read_summary(context)
    low, high = context.fidelity_names
    calls = {name: sum(row.labels + row.failed for row in summary.cost if row.fidelity == name) for name in (low, high)}
    training_s, search_s = (
        round(sum(job.cpu_s for job in summary.jobs if job.kind == kind), 1) for kind in ("training", "relaxation")
    )
    return Cost(
        our_low_calls=calls[low],
        our_high_calls=calls[high],
        our_label_core_s=round(sum(row.core_s for row in summary.cost), 1),
        our_training_core_s=training_s,
        our_search_core_s=search_s,
        direct_calls=sum(row.calls for row in rows),
        direct_core_s=round(sum(row.core_s for row in rows), 1),
    )
