"""The final model's card, in Markdown: what it was trained on, how good it is, what it must not be asked."""

from defectscape.report.tables.table import number
from defectscape.summary.schema import ErrorSummary, Summary


def model_card(summary: Summary) -> str:
    """The card as text."""
    charges = sorted({row.charge for row in summary.defects})
    high, low = summary.high, summary.low
    return "\n".join(
        [
            f"# Model of {summary.study}",
            "",
            f"A committee of {len(summary.model_files)} MACE models of point defects in "
            f"{summary.host.formula}, trained by defectscape {summary.provenance.defectscape}. "
            "Charge and fidelity are inputs: always give both.",
            "",
            f"* **Files**: {', '.join(f'`{name}`' for name in summary.model_files)}; `.weights` files beside them hold "
            "the same as plain values, for programs that do not read pickles.",
            f"* **Heads**: `{high.name}` is {high.method}, `{low.name}` is {low.method}.",
            *_prior(summary),
            f"* **Trained on**: {', '.join(dict.fromkeys(row.defect for row in summary.defects))}, charges "
            f"{', '.join(f'{charge:+d}' if charge else '0' for charge in charges)}, supercells of the host's "
            f"{summary.host.atoms} atoms. It refuses other charges, elements and sizes: a charge's embedding acts on "
            "every atom alike, so nothing carries over to another supercell.",
            f"* **Configuration**: SHA-256 `{summary.provenance.config_sha256}`, seed {summary.provenance.seed}.",
            "",
            "## Errors on held-out families of frames",
            "",
            "| level | defect | charge | frames | energy RMSE (meV/atom) | within a charge | force RMSE (meV/A) |",
            "|---|---|---|---|---|---|---|",
            *(_error(row) for row in summary.errors),
            "",
            "Energies are raw supercell energies, without finite-size correction. Levels of theory are those of "
            "the labels; the model adds its own error to theirs.",
            "",
            "## Limits",
            "",
            *(f"* {line}" for line in summary.warnings),
            "* ASE's `MACECalculator` takes a missing charge as 0 and says nothing; give "
            '`info_keys={"total_charge": "total_charge"}` and set `atoms.info["total_charge"]`.',
            "",
        ]
    )


def _prior(summary: Summary) -> list[str]:
    """What the model files lack, where there is a prior under them."""
    if summary.prior is None:
        return []
    return [
        f"* **Prior**: {summary.prior.text}. The files hold what was learned over it: a plain `MACECalculator` gives "
        "that part alone, which is no energy of anything. "
        '`defectscape.study.calculator.DefectCalculator.of_study("study.yaml", "results", charge=-1)` puts the prior '
        "back.",
    ]


def _error(row: ErrorSummary) -> str:
    charge = "all" if row.charge is None else f"{row.charge:+d}" if row.charge else "0"
    shifted = row.energy_rmse_shifted_meV_atom
    return (
        f"| {row.fidelity} | {row.defect} | {charge} | {row.frames} | "
        f"{number(row.energy_rmse_meV_atom, 2)} | {number(shifted, 2)} | "
        f"{number(row.force_rmse_meV_A, 0)} |"
    )
