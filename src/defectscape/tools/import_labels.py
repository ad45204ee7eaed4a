"""Import: labels that people have already, checked, into the label store.

Nothing is taken on trust: defect and site come from the structure, the charge from the electrons, the
level of theory from what the program says that it did. What does not agree with the study is refused
with its reason; labels of differing settings never stand under one fidelity.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from defectscape.domain.errors import DefectscapeError, HostError, LabelError
from defectscape.domain.site import HostCrystal
from defectscape.sampling.host import read_host_file
from defectscape.study.context import StudyContext
from defectscape.study.host import enumerate_named_sites, known_host
from defectscape.tools.data_sets import DATA_ENDINGS
from defectscape.tools.import_offers import ImportRow, ImportTarget, Offer, refused, take
from defectscape.tools.imported_data import offer_data
from defectscape.tools.vasp_runs import is_run_name, offer_run

KINDS = "Give vasprun.xml (also .gz, .bz2, .xz), *.extxyz[.xz|.gz] with a card, or folders of them"


def import_paths(
    context: StudyContext, fidelity: str, paths: Sequence[Path], defect: str | None = None
) -> tuple[ImportRow, ...]:
    """Read runs and data sets and put their labels into the study's store.

    Args:
        context: the study.
        level: ``low`` or ``high``: the fidelity that the labels are to be of.
        paths: files, or folders that are searched for runs of VASP and ``*.extxyz[.xz|.gz]``.
        defect: our name of the defect, where its site cannot be told from the structure.

    Returns:
        One row for each file, in their order.

    Raises:
        LabelError: if a path holds no such file.
        DefectscapeError: as for the study's host and engine.
    """
    files = list(dict.fromkeys(file for path in paths for file in _find(path)))
    host = _host(context)
    sites = enumerate_named_sites(context, host, interstitials=True)
    target = ImportTarget(context, fidelity, context.engine(fidelity), host, sites, defect)
    return take(context.store, [_offer(target, file) for file in files])


def _host(context: StudyContext) -> HostCrystal:
    """The host whose cell all frames of the study have.

    Raises:
        HostError: if its cell is still to be relaxed.
    """
    settings = context.study.host
    host = known_host(context, read_host_file(settings))
    if host is None:
        raise HostError(
            "host.relax",
            f"{settings.relax}, and the relaxed host is not there yet: its cell is the one that labels must have",
            f"Relax it first: `defectscape run STUDY.yaml -- {context.layout.host}`; or give the relaxed crystal of "
            "these calculations as host.file with host.relax none",
        )
    return host


def _offer(target: ImportTarget, file: Path) -> Offer:
    """What a file has; one that cannot be read stops none of the others."""
    try:
        if is_run_name(file.name):
            return offer_run(target, file)
        if file.name.endswith(DATA_ENDINGS):
            return offer_data(target, file)
    except DefectscapeError as error:
        return refused(file, "-", 0, str(error))
    return refused(file, "-", 0, f"{file.name} is no kind of file that is imported. {KINDS}")


def _find(path: Path) -> Iterator[Path]:
    """The files of a path, by name."""
    if path.is_file():
        yield path
        return
    found = sorted(
        file
        for file in path.rglob("*")
        if (is_run_name(file.name) or file.name.endswith(DATA_ENDINGS)) and file.is_file()
    )
    if not found:
        raise LabelError(str(path), "holds no vasprun.xml and no extended XYZ" if path.is_dir() else "not there", KINDS)
    yield from found
