"""Names of pairs of point defects: ``v_Cd+Cl_Te``, and ``v_Cd+Cl_Te_shell2b`` for one that is further apart.

Shells count the distances between the two partners' sites, the nearest first. The nearest has no word. A letter tells
apart the arrangements of a shell that no symmetry of the crystal connects; a shell with one arrangement has none. A
word for the shell, not a number alone, since ``Cl_Te_2`` is the second site of tellurium.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

JOIN = "+"
"""Between the partners of a pair."""
MOST_SHELLS = 99
_SHELL = re.compile(r"^(.+?)(?:_shell(\d+)([a-z]?))?$")
_INTERSTITIAL = re.compile(r"^(i_|[A-Z][a-z]?_i(_|$))")


@dataclass(frozen=True)
class PairName:
    """The parts of a pair's name.

    Attributes:
        first, second: names of the partners, as they were written.
        shell: which distance between them, from 1.
        letter: which arrangement at that distance; empty where the name has none.
    """

    first: str
    second: str
    shell: int = 1
    letter: str = ""

    def __str__(self) -> str:
        word = f"_shell{self.shell}{self.letter}" if self.shell > 1 or self.letter else ""
        return f"{self.first}{JOIN}{self.second}{word}"

    @property
    def ordered(self) -> "PairName":
        """Vacancies first, then substitutions, then interstitials, each by name: one pair has one name."""
        first, second = sorted((self.first, self.second), key=_place)
        return PairName(first, second, self.shell, self.letter)


def _place(name: str) -> tuple[int, str]:
    if _INTERSTITIAL.match(name):
        return 2, name
    return (0 if name.startswith("v_") else 1), name


def is_pair(name: str) -> bool:
    """Whether a name is that of a pair, or would be if it were right."""
    return JOIN in name


def parse_pair(name: str) -> PairName | None:
    """The parts of a pair's name; None for a name of anything else, and of more than two partners."""
    parts = name.split(JOIN)
    found = _SHELL.match(parts[-1])
    if len(parts) != 2 or not parts[0] or found is None:
        return None
    second, shell, letter = found.groups()
    return PairName(parts[0], second, int(shell or 1), letter or "")


def point_names(names: Iterable[str]) -> tuple[str, ...]:
    """The point defects that defects of these names are made of: a pair's partners, and the others themselves."""
    found: list[str] = []
    for name in names:
        pair = parse_pair(name)
        found += [name] if pair is None else [pair.first, pair.second]
    return tuple(found)


def has_interstitials(names: Iterable[str]) -> bool:
    """Whether one of the defects is an interstitial, or has one in it, by its name in ours."""
    return any(name.startswith("i_") for name in point_names(names))


def pair_fault(name: str) -> str | None:
    """What is wrong with a pair's name, and what to write; None where nothing is."""
    if name.count(JOIN) > 1:
        return "a complex of two point defects is the most that is computed: write one pair, as v_Cd+Cl_Te"
    pair = parse_pair(name)
    if pair is None:
        return "write two point defects with + between them, as v_Cd+Cl_Te"
    if "host" in (pair.first, pair.second):
        return "host is the perfect crystal, no point defect; write two point defects, as v_Cd+Cl_Te"
    if pair.shell < 1:
        return "shells count from 1, the nearest; two point defects on one site are one: write that, as Cl_Te"
    if pair.shell > MOST_SHELLS:
        return f"no supercell holds shell {pair.shell}: the nearest shell needs no word, the next one is _shell2"
    return None
