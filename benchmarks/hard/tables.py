"""The benchmark's result as tables, and their place in docs/benchmarks.md; a test compares them with the result."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.hard.results import RIGHT_MEV, EndRow, HardResult, StateRow, TruthRow, read_hard
from defectscape.domain.errors import ConfigError

TRUTH_HEAD = (
    "| host | state | starts | converged | end at the lowest | unperturbed start (meV) | other ends (meV) | labels "
    "| core-s |\n|---|---|---|---|---|---|---|---|---|\n"
)
STATE_HEAD = (
    "| host | state | prior | status | error (meV) | RMSD (A) | unperturbed start (meV) | direct relaxations (meV) "
    "| model's error before (meV) | force left (eV/A) | high labels | low labels | direct labels |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)
COUNT_HEAD = (
    "| prior | states and seeds | right | called certain | of these wrong | right, but not certain | open |"
    " high labels a state |\n|---|---|---|---|---|---|---|---|\n"
)


def page_tables(result: HardResult) -> str:
    """All tables in Markdown: the truth, and what the finished studies made of it."""
    parts = [
        "Every start relaxed with the engine; energies above the lowest end of each state. "
        "An end in brackets did not converge.\n\n",
        TRUTH_HEAD,
        *map(_truth, result.truths),
    ]
    if result.states:
        parts += [
            f"\nStates of finished studies; one is right within {RIGHT_MEV:g} meV of the lowest energy known:\n\n",
            COUNT_HEAD,
            *_counts(result.states),
            "\nSeed by seed:\n\n",
            STATE_HEAD,
            *(_state(list(rows)) for _, rows in groupby(_sorted(result.states), key=_state_of)),
        ]
    return "".join(parts)


def state_lines(result: HardResult) -> Iterator[str]:
    """One line for each state, for people at a terminal."""
    for row in result.states:
        plain = "none" if row.plain_error_meV is None else f"{row.plain_error_meV:.0f}"
        yield (
            f"{row.host} {row.key:12} seed {row.seed}, prior {row.variant}: {row.status}, {row.error_meV:.1f} meV "
            f"above the lowest, {row.rmsd_A:.3f} A from it; unperturbed start {plain} meV; "
            f"{row.high_labels} + {row.low_labels} labels, direct {row.direct_high_labels}"
        )
    yield f"{len(result.states)} states of finished studies, {len(result.truths)} truths"


def _truth(row: TruthRow) -> str:
    converged = sum(end.reason == "converged" for end in row.ends)
    others = ", ".join(map(_end, row.ends[1:]))
    cells = [row.host, row.key, len(row.ends), converged, row.right_starts, _end(row.ends[0]), others, row.labels]
    return f"| {' | '.join(map(str, cells))} | {row.core_s:.0f} |\n"


def _end(end: EndRow) -> str:
    if end.above_meV is None:
        return "none"
    return f"{end.above_meV:.0f}" if end.reason == "converged" else f"({end.above_meV:.0f})"


def _state_of(row: StateRow) -> tuple[str, str, str]:
    return row.host, row.key, row.variant


def _sorted(rows: Sequence[StateRow]) -> list[StateRow]:
    """By host, state and variant in the order in which they first come, then by seed."""
    order = {name: place for place, name in enumerate(dict.fromkeys(map(_state_of, rows)))}
    return sorted(rows, key=lambda row: (order[_state_of(row)], row.seed))


def _state(rows: Sequence[StateRow]) -> str:
    """One line: the seeds of a state side by side."""
    first = rows[0]
    cells = [
        first.host,
        first.key,
        first.variant,
        ", ".join(row.status for row in rows),
        _all([row.error_meV for row in rows], 0),
        _all([row.rmsd_A for row in rows], 2),
        _all([first.plain_error_meV], 0),
        _all([first.direct_error_meV], 0),
        _all([row.model_error_before_meV for row in rows], 0),
        _all([row.force_left_eV_A for row in rows], 2),
        _all([row.high_labels for row in rows], 0),
        _all([row.low_labels for row in rows], 0),
        str(first.direct_high_labels),
    ]
    return f"| {' | '.join(cells)} |\n"


def _counts(rows: Sequence[StateRow]) -> Iterator[str]:
    for variant in dict.fromkeys(row.variant for row in rows):
        own = [row for row in rows if row.variant == variant]
        right = [row for row in own if row.error_meV < RIGHT_MEV]
        certain = [row for row in own if row.certain]
        wrong = sum(row.error_meV >= RIGHT_MEV for row in certain)
        uncertain = sum(not row.certain for row in right)
        labels = sum(row.high_labels for row in own) / len(own)
        cells = [variant, len(own), len(right), len(certain), wrong, uncertain, sum(row.open for row in own)]
        yield f"| {' | '.join(map(str, cells))} | {labels:.0f} |\n"


def _all(values: Sequence[float | None], digits: int) -> str:
    return ", ".join("none" if value is None else f"{value:.{digits}f}" for value in values)


ROOT = Path(__file__).parents[2]
PAGE = "docs/benchmarks.md"
RESULT = "benchmarks/hard.json"
BEGIN, END = "<!-- hard: begin -->", "<!-- hard: end -->"


def page() -> str:
    """The page with the tables of the committed result between their marks.

    Raises:
        ConfigError: if the marks are gone.
    """
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(PAGE, f"no {BEGIN} ... {END}", "Put the two lines back where the tables shall be")
    return f"{before}{begin}\n\n{page_tables(read_hard(ROOT / RESULT))}\n{end}{after}"


RESULTS_DOCUMENTS = {PAGE: page}
"""Generated files, relative to the repository, and what makes them."""
