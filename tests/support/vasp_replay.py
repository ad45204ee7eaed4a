"""Stands in for VASP: serves the ionic step of a real vasprun.xml that belongs to the POSCAR.

Run as ``python vasp_replay.py VASPRUN [--fault NAME]`` in a folder with VASP's four inputs. Nothing is
computed: the numbers are VASP's own, and a POSCAR that VASP never saw is refused. It starts in a
fraction of a second, so inputs are read by hand.
"""

import gzip
import re
import sys
import time
from pathlib import Path

import numpy as np

FAULTS = {
    "nelect": ("588.00000000</i>", "587.00000000</i>"),
    "aexx": ('"AEXX">      0.34500000', '"AEXX">      0.25000000'),
    "cutoff": ('"ENMAX">    450.00000000', '"ENMAX">    300.00000000'),
}


def tags() -> dict[str, str]:
    """The INCAR."""
    pairs = (line.partition("=") for line in Path("INCAR").read_text().splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def poscar() -> tuple[list[str], np.ndarray]:
    """Elements of the atoms and their fractional positions, of a POSCAR in direct coordinates."""
    lines = Path("POSCAR").read_text().splitlines()
    if float(lines[1]) != 1.0 or lines[7].strip().lower() != "direct":
        sys.exit("POSCAR is scaled or not in direct coordinates")
    blocks = list(zip(lines[5].split(), map(int, lines[6].split()), strict=True))
    titles = re.findall(r"TITEL\s*=\s*\S+ (\w+)", Path("POTCAR").read_text())
    if titles != [element for element, _ in blocks]:
        sys.exit("POTCAR is not in the order of POSCAR")
    elements = [element for element, count in blocks for _ in range(count)]
    rows = lines[8 : 8 + len(elements)]
    return elements, np.array([row.split()[:3] for row in rows], dtype=float)


def positions(block: str) -> np.ndarray:
    """Fractional positions of an ionic step."""
    found = re.search(r'<varray name="positions" >(.*?)</varray>', block, re.DOTALL)
    return np.array([row.split() for row in re.findall(r"<v>(.*?)</v>", found.group(1))], dtype=float)


def main(source: str, fault: str) -> None:
    for name in ("INCAR", "POSCAR", "KPOINTS", "POTCAR"):
        if not Path(name).is_file():
            sys.exit(f"no {name}")
    if fault == "crash":
        sys.exit("Error EDDDAV: Call to ZHEGV failed")
    if fault == "hang":
        time.sleep(600)
    if fault == "silent":
        return
    incar = tags()
    if (incar["NSW"], incar["IBRION"]) != ("0", "-1"):
        sys.exit("not a single point")
    text = gzip.decompress(Path(source).read_bytes()).decode("latin-1")
    elements, wanted = poscar()
    table = text[text.index('<array name="atoms" >') : text.index('<array name="atomtypes" >')]
    if elements != re.findall(r"<rc><c>\s*([A-Z][a-z]?)\s*</c><c>", table):
        sys.exit("VASP never saw these atoms")
    blocks = re.findall(r" <calculation>.*?</calculation>\n", text, re.DOTALL)
    for block in blocks:
        gaps = positions(block) - wanted
        if np.abs(gaps - np.rint(gaps)).max() < 1e-6:
            break
    else:
        sys.exit("VASP never saw this POSCAR")
    head, tail = text[: text.index(" <calculation>")], text[text.rindex("</calculation>\n") + 15 :]
    whole = head + block + tail
    if fault in FAULTS:
        old, new = FAULTS[fault]
        assert old in whole
        whole = whole.replace(old, new)
    if fault == "structure":
        whole = whole.replace(block, next(b for b in blocks if b != block))
    if fault == "unconverged":
        step = re.search(r"  <scstep>.*?</scstep>\n", block, re.DOTALL).group(0)
        whole = whole.replace(block, block.replace(step, step * 120, 1))
    if fault == "nan":
        forces = re.search(r'<varray name="forces" >\s*<v>.*?</v>', block, re.DOTALL).group(0)
        whole = whole.replace(forces, re.sub(r"<v>.*?</v>", "<v> NaN NaN NaN </v>", forces))
    if fault == "cut":
        whole = whole[: len(head) + len(block) // 2]
    Path("vasprun.xml").write_text(whole, encoding="latin-1")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else "")
