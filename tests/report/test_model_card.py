"""The model's card names its limits and gives the errors of the summary."""

from defectscape.report.model_card import model_card
from support.summary_builder import over_prior


def test_the_card_says_what_the_model_is_and_is_not(summary):
    card = model_card(summary)
    for name in summary.model_files:
        assert f"`{name}`" in card
    assert "charges -2, -1, 0, +1, +2" in card
    assert f"SHA-256 `{summary.provenance.config_sha256}`" in card
    assert "It refuses other charges" in card
    for warning in summary.warnings:
        assert f"* {warning}" in card
    rows = [line for line in card.splitlines() if line.startswith(f"| {summary.high.name} |")]
    assert len(rows) == sum(row.fidelity == summary.high.name for row in summary.errors)


def test_the_card_of_a_model_over_a_prior_says_what_the_files_lack(summary):
    card = model_card(over_prior(summary))
    assert "* **Prior**: IPEA1-xTB (tblite) in the charge of each state." in card
    assert "gives that part alone, which is no energy of anything" in card
    assert 'DefectCalculator.of_study("study.yaml", "results", charge=-1)' in card
    assert "**Prior**" not in model_card(summary)
