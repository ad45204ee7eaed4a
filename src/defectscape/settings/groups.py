"""Exploration groups: which charge states are explored together, and who learns from whom.

Each defect is explored on its own, its ``charges`` together; each entry of ``added_charges`` comes
after them, learning from their labels while they do not depend on it. So a new defect, or a charge
state added later, changes no structure that the others' expensive labels were spent on. The final
model is trained on all of them together.

A defect that ``learns`` is taught by the ``charges`` of the defects before it, for the same reason never by their
``added_charges``. A teacher's structures have other atoms: they train the model, and nothing else is made of them.
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
        learns_from: names of the groups of its defect whose labels it learns from and whose minima it tries.
        taught_by: names of the groups of other defects whose labels join its trainings.
        begins_with: name of the group whose last models its first training starts from, or None.
        multiplicities: charge states of the defect, those of other groups included, whose spin multiplicity is
            stated, and that; the others have the lowest.
    """

    name: str
    defect: str
    charges: tuple[int, ...]
    learns_from: tuple[str, ...]
    taught_by: tuple[str, ...] = ()
    begins_with: str | None = None
    multiplicities: tuple[tuple[int, int], ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all groups that it waits for."""
        return (*self.learns_from, *self.taught_by)

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
    before: list[str] = []
    for defect in study.defects:
        teachers = () if defect.learns == "none" else tuple(before)
        spins = tuple(defect.multiplicities.items())
        chain: list[Group] = []
        members = [(defect.name, tuple(defect.charges))]
        members += [(f"{defect.name}.{format_charge(charge)}", (charge,)) for charge in defect.added_charges]
        for name, charges in members:
            earlier = tuple(group.name for group in chain)
            known = (*teachers, *earlier)
            first = known[-1] if known and defect.learns == "weights" else None
            chain.append(Group(name, defect.name, charges, earlier, teachers, first, spins))
        groups += chain
        before.append(defect.name)
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


def initial_per_charge(study: Study, group: Group) -> int:
    """High-fidelity labels of each of a group's charge states before its first model."""
    budget, taught = study.selection.initial_per_charge, study.selection.initial_per_charge_taught
    return taught if group.sources and taught is not None else budget


def label_rounds(study: Study, fidelity: str, last: int) -> range:
    """The rounds up to ``last`` that have labels of a level, ``low`` or ``high``."""
    selection = study.selection
    in_rounds = selection.low_per_charge_per_round + selection.recharged_per_charge_per_round > 0
    every = fidelity == "high" or in_rounds
    return range(last + 1 if every else 1)
