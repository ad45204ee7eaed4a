"""Minima of a study: merged relaxations, and what the engine says of them."""

from collections.abc import Sequence

from defectscape.domain.frame import Frame
from defectscape.domain.keys import DefectKey
from defectscape.domain.label import LabelledFrame
from defectscape.domain.minimum import Minimum, Relaxation, VerifiedMinimum
from defectscape.files.extxyz import read_labelled
from defectscape.files.tables import load_host_file, load_sites, load_verified
from defectscape.sampling.sites import pick_site
from defectscape.search.matching import Operations, host_operations
from defectscape.search.merging import merge
from defectscape.settings.groups import Group, exploration_groups
from defectscape.settings.search import Minima
from defectscape.study.context import StudyContext


def read_verified(context: StudyContext, group: str, key: DefectKey) -> tuple[VerifiedMinimum, ...]:
    """The verified minima of one key."""
    return load_verified(context.layout.group(group).verified(str(key)))


def ground_state(items: Sequence[VerifiedMinimum]) -> VerifiedMinimum:
    """The lowest by the engine, or by the model where the engine has none."""
    return min(items, key=lambda item: (item.final_energy_eV, item.minimum.rank))


def ground_frame(item: VerifiedMinimum) -> Frame:
    """Its structure: the engine's where there is one."""
    return item.frame if item.final_label is not None else item.minimum.frame


def verification_labels(context: StudyContext) -> list[LabelledFrame]:
    """Every high-fidelity label that verification made."""
    name = context.fidelity("high").name
    labels: list[LabelledFrame] = []
    for group in exploration_groups(context.study):
        for key in group.keys:
            path = context.layout.group(group.name).verified(str(key)).with_suffix(".extxyz")
            labels += read_labelled(path, name)
    return labels


UNPERTURBED = "unperturbed"


def group_operations(context: StudyContext, group: Group) -> Operations:
    """Symmetry operations of the host that keep the group's defect site."""
    host = load_host_file(context.layout.host)
    site = pick_site(load_sites(context.layout.sites), group.defect)
    return host_operations(host, site.frac_coords)


def merged(
    context: StudyContext, group: Group, relaxations: tuple[Relaxation, ...], key: DefectKey,
    settings: Minima,
) -> tuple[Minimum, ...]:  # fmt: skip
    """Distinct minima of one key among some relaxations."""
    mine = tuple(r for r in relaxations if r.start.key == key)
    return merge(mine, group_operations(context, group), settings, UNPERTURBED)
