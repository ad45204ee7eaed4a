"""Exploration groups: which charge states are explored together, and who learns from whom.

Each defect is explored on its own, its ``charges`` together; each entry of ``added_charges`` comes
after them, learning from their labels while they do not depend on it. So a new defect, or a charge
state added later, changes no structure that the others' expensive labels were spent on. The final
model is trained on all of them together.
"""

from dataclasses import dataclass

from defectscape.domain.errors import ConfigError
from defectscape.domain.keys import DefectKey, format_charge
from defectscape.settings.study import Study


@dataclass(frozen=True)
class Group:
    """Defect keys explored together.

    Attributes:
        name: file-name-safe name: the defect's, with the charge for one added later.
        defect: the defect's name.
        charges: its charge states, units of e.
        learns_from: names of the groups whose labels it learns from and whose minima it tries.
        multiplicities: charge states of the defect, those of other groups included, whose spin multiplicity is
            stated, and that; the others have the lowest.
    """

    name: str
    defect: str
    charges: tuple[int, ...]
    learns_from: tuple[str, ...]
    multiplicities: tuple[tuple[int, int], ...] = ()

    @property
    def keys(self) -> tuple[DefectKey, ...]:
        """The group's defect keys, in the config's order."""
        return tuple(DefectKey(self.defect, charge) for charge in self.charges)

    @property
    def stated(self) -> dict[DefectKey, int]:
        """Stated multiplicities by key."""
        return {DefectKey(self.defect, charge): spin for charge, spin in self.multiplicities}


def exploration_groups(study: Study) -> tuple[Group, ...]:
    """All groups of a study, those that others learn from first."""
    groups: list[Group] = []
    for defect in study.defects:
        spins = tuple(defect.multiplicities.items())
        chain = [Group(defect.name, defect.name, tuple(defect.charges), (), spins)]
        for charge in defect.added_charges:
            name = f"{defect.name}.{format_charge(charge)}"
            earlier = tuple(group.name for group in chain)
            chain.append(Group(name, defect.name, (charge,), earlier, spins))
        groups += chain
    return tuple(groups)


def find_group(study: Study, name: str) -> Group:
    """The group of that name.

    Raises:
        ConfigError: if there is none.
    """
    for group in exploration_groups(study):
        if group.name == name:
            return group
    names = ", ".join(group.name for group in exploration_groups(study))
    raise ConfigError("exploration group", repr(name), f"The study has {names}")


def label_rounds(study: Study, fidelity: str, last: int) -> range:
    """The rounds up to ``last`` that have labels of a level, ``low`` or ``high``."""
    every = fidelity == "high" or study.selection.low_per_charge_per_round > 0
    return range(last + 1 if every else 1)
