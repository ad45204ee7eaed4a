"""Ground states on which the engine's forces are not down are called upper bounds."""

from defectscape.summary.provenance import unrelaxed
from defectscape.summary.schema import Summary


def test_forces_above_the_limit_are_named_with_their_size(summary: Summary):
    (line,) = unrelaxed(summary.defects, 0.03)
    verified = [row.key for row in summary.defects if row.verified]
    assert verified
    assert all(f"{key} (0.03 eV/A)" in line for key in verified)
    assert not any(f"{row.key} (" in line for row in summary.defects if not row.verified)
    assert "above 0.03 eV/A" in line


def test_no_line_where_the_engine_is_at_rest(summary: Summary):
    assert unrelaxed(summary.defects, 0.05) == []
