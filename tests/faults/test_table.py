"""docs/reliability.md has a row for every fault that the tests make happen, and none besides."""

import re

from support import ROOT


def test_the_page_s_rows_are_the_tests_faults() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    table = page.partition("<!-- table: begin -->")[2].partition("<!-- table: end -->")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    sources = "".join(
        path.read_text() for part in ("faults", "cluster") for path in (ROOT / "tests" / part).glob("test_*.py")
    )
    reports = sources.count("report(\n")
    # Some tests are made for several faults each: their names have a variable part.
    several = {"an engine's calculation ": 5, "a record ": 3}
    ends = len(re.findall(r"signal\.SIG\w+,\n", sources))
    for start, count in several.items():
        assert sum(row[0][2:].startswith(start) for row in rows) == count
    assert len(rows) == reports - len(several) + sum(several.values()) - 1 + ends
    for row in rows:
        lost, wrong = row[3], row[5].rstrip(" |")
        assert (lost, wrong) == ("0", "0"), row
