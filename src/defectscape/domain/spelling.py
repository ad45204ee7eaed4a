"""Other programs' names of defects, in ours: v_Cd, Te_Cd, i_Cd.

doped writes ``v_Cd_Td_Te2.83`` and ``Cd_i_Td_Te2.83``, pydefect ``Va_Cd1``, pymatgen ``vac_1_Cd`` and
``as_1_Te_on_Cd``, papers ``V_Cd`` and ``Cd_i``. doped's names, whole or without their last words, and ours without an
index are taken where the host has one such site. The others are told what to write, never translated in silence:
``V_Cd`` may also be vanadium.

Pairs are named ``v_Cd+Cl_Te``, and ``v_Cd+Cl_Te_shell2b`` where they are further apart. Shells count the distances
between the two partners' sites, the nearest first, which has no word. A letter tells apart the arrangements of a shell
that no symmetry of the crystal connects; a shell with one arrangement has none. There is a word for the shell, since
``Cl_Te_2`` is the second site of tellurium.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

VACANCY_WORDS = ("v", "va", "vac", "vacancy")
INTERSTITIAL_WORDS = ("i", "int", "inter", "interstitial")
SUBSTITUTION_WORDS = ("as", "sub", "antisite", "substitution")
_POINT = r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9.]+)*"
TYPED_PATTERN = rf"^{_POINT}(\+{_POINT})?$"
"""Names that a study may give a defect: ours, and doped's, which have bond lengths in them; and pairs of them."""
JOIN = "+"
"""Between the partners of a pair."""
MOST_SHELLS = 99
_SHELL = re.compile(r"^(.+?)(?:_shell(\d+)([a-z]?))?$")
_BETWEEN = re.compile(r"^(i_|[A-Z][a-z]?_i(_|$))")
_OURS = re.compile(r"^(v|i|[A-Z][a-z]?)_[A-Z][a-z]?(_[1-9][0-9]*)?$")
_TURNED = re.compile(r"^([A-Z][a-z]?)_i((?:_[1-9][0-9]*)?)$")
_ELEMENT = re.compile(r"^([A-Z][a-z]?)[0-9]*$")
_LOWER = re.compile(r"^([a-z]{1,2})[0-9]*$")


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
    if _BETWEEN.match(name):
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


def is_ours(name: str) -> bool:
    """Whether a name has our form, so that no host is needed to know what is meant."""
    pair = parse_pair(name)
    if pair is not None:
        return is_ours(pair.first) and is_ours(pair.second) and str(pair.ordered) == name
    return _OURS.match(name) is not None


def turned(name: str) -> str:
    """``Cd_i`` and ``Cd_i_2`` as we write them, ``i_Cd`` and ``i_Cd_2``; other names as they are.

    Partners of a pair come in our order: ``Cl_Te+v_Cd`` is ``v_Cd+Cl_Te``.
    """
    pair = parse_pair(name)
    if pair is not None:
        return str(PairName(turned(pair.first), turned(pair.second), pair.shell, pair.letter).ordered)
    found = _TURNED.match(name)
    return name if found is None else f"i_{found.group(1)}{found.group(2)}"


def says(name: str, kind: str, added: str | None, removed: str | None) -> bool:
    """Whether a name says a defect as doped or we do, and nothing else can be meant by it.

    Args:
        name: what somebody wrote.
        kind, added, removed: the defect: ``vacancy``, ``substitution`` or ``interstitial``, and its elements.
    """
    words = name.split("_")
    first, second = words[0], words[1] if len(words) > 1 else ""
    forms: dict[str, set[tuple[str | None, str | None]]] = {
        "vacancy": {("v", removed)},
        "substitution": {(added, removed)},
        "interstitial": {("i", added), (added, "i")},
    }
    return (first, second) in forms[kind]


def our_name(name: str) -> str | None:
    """What the name would be in ours, without an index; None where nothing is recognised.

    Args:
        name: what somebody wrote.
    """
    pair = parse_pair(name)
    if pair is not None:
        first, second = our_name(pair.first), our_name(pair.second)
        return str(PairName(first, second, pair.shell, pair.letter).ordered) if first and second else None
    words = [word for word in re.split(r"[_\s.-]+", name) if word and not word.isdigit()]
    if not words:
        return None
    first, rest = words[0].lower(), [word for word in words[1:] if word != "on"]
    elements = [element for word in rest if (element := _element(word)) is not None]
    if first in VACANCY_WORDS:
        return f"v_{elements[0]}" if elements else None
    if first in INTERSTITIAL_WORDS and elements:
        return f"i_{elements[0]}"
    if first in SUBSTITUTION_WORDS and len(elements) > 1:
        return f"{elements[0]}_{elements[1]}"
    own = _element(words[0])
    if own is None or not rest:
        return None
    if rest[0].lower() in INTERSTITIAL_WORDS:
        return f"i_{own}"
    return f"{own}_{elements[0]}" if elements else None


def _element(word: str) -> str | None:
    """The symbol that a word is, with or without an index, in whichever case."""
    found = _ELEMENT.match(word) or _LOWER.match(word)
    return None if found is None else found.group(1).capitalize()


def names_meant(name: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the known names that were meant.

    Args:
        name: what somebody wrote.
        known: what doped calls each defect, by our name.
    """
    of_doped = [ours for ours, dopeds in known.items() if name == dopeds]
    of_doped = of_doped or [
        ours for ours, dopeds in known.items() if name.startswith(f"{dopeds}_") or dopeds.startswith(f"{name}_")
    ]
    return tuple(of_doped) or _of_kind(our_name(name), known)


def _of_kind(plain: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """The name itself, or those that are it with an index."""
    if plain is None:
        return ()
    return tuple(name for name in known if name == plain or re.fullmatch(rf"{re.escape(plain)}_[0-9]+", name))
