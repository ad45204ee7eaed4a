"""Writes the table of docs/reliability.md from the rows that the tests of faults noted.

DEFECTSCAPE_FAULT_TABLE=$PWD/rows pytest tests/faults tests/cluster
python tests/faults/write_table.py rows docs/reliability.md
"""

import json
import sys
from pathlib import Path

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = "| fault | what happens | what one sees | labels lost | computed twice | wrong |"


def table(folder: Path) -> str:
    """The rows as Markdown, by name."""
    rows = sorted((json.loads(path.read_text()) for path in folder.glob("*.json")), key=lambda r: r["name"])
    lines = [HEAD, "|---|---|---|---|---|---|"]
    for row in rows:
        cells = (str(row[name]) for name in ("name", "happens", "seen", "lost", "twice", "wrong"))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def write(folder: Path, page: Path) -> None:
    """Put the table between the page's two marks."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table(folder)}\n{END}{after}")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
