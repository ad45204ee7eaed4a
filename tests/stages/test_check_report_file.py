"""What was measured on a committee before its first use is read as it was written, in earlier studies too."""

from dataclasses import asdict
from pathlib import Path

from defectscape.files.tables import read_json
from defectscape.model.checks import CheckReport
from defectscape.study.committees import read_check_report, write_check_report

REPORT = CheckReport(
    "2fb8a433e5c07372",
    (-1, 0),
    ("low", "high"),
    {"calculator": {(-1, "low"): -2.5, (0, "high"): 1 / 3}},
    0.1,
    0.2,
    0.3,
    None,
    1e-6,
)


def test_states_are_written_as_pairs_and_read_back(tmp_path: Path) -> None:
    write_check_report(tmp_path / "gates.json", REPORT)
    found = read_json(tmp_path / "gates.json")["energies_eV"]
    assert found == {"calculator": {"(-1, 'low')": -2.5, "(0, 'high')": 1 / 3}}
    back = read_check_report(tmp_path / "gates.json")
    assert back.energies_eV == REPORT.energies_eV
    assert list(asdict(back)["charges"]) == [-1, 0]
