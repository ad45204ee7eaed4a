"""Growth of the costs with the starts, against counting by hand."""

from itertools import combinations

import pytest

from defectscape.tools.search_growth import chance, growth
from defectscape.tools.search_truth import KeyTruth


@pytest.mark.parametrize(("right", "drawn"), [(0, 3), (1, 1), (2, 3), (5, 1), (2, 5)])
def test_the_chance_is_the_share_of_all_choices(right, drawn) -> None:
    choices = list(combinations(range(5), drawn))
    lucky = sum(any(start < right for start in choice) for choice in choices)
    assert chance(5, right, drawn) == pytest.approx(lucky / len(choices))


def test_direct_costs_grow_with_the_starts_and_ours_with_its_searches() -> None:
    rows = [
        KeyTruth(key, 4, 4, right, (), 40, 100.0, 1, 1, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
        for key, right in (("v_X_0", 4), ("v_X_-1", 1))
    ]
    table = growth(rows, fixed_core_s=50.0, search_core_s=8.0)
    assert [row.starts for row in table] == [1, 2, 3, 4]
    assert [row.direct_core_s for row in table] == [50, 100, 150, 200]
    assert [row.direct_calls for row in table] == [20, 40, 60, 80]
    assert [row.our_core_s for row in table] == [52, 54, 56, 58]
    assert [row.direct_found for row in table] == [1.25, 1.5, 1.75, 2.0]
    assert table[-1].ratio == pytest.approx(200 / 58, abs=1e-3)
