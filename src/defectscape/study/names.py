"""A study with its defects under our names, whichever names its file gives them.

Ours need no host to be understood. doped's do: its names of sites contain bond lengths. They are looked up once for
a host, and what was found is kept beside the results, since every job reads the study.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from defectscape.domain.errors import ConfigError, StoreError
from defectscape.domain.spelling import is_ours
from defectscape.files.tables import read_json, write_json
from defectscape.settings.load import load_study
from defectscape.settings.paths import check_files
from defectscape.settings.study import Study
from defectscape.study.layout import Layout


def load_named_study(config: Path, results: Path) -> Study:
    """Read a study; its defects have our names.

    Args:
        config: the study's file.
        results: folder of all studies' results.

    Raises:
        ConfigError: as ``load_study``, and if two entries are one defect.
        DefectError: for a name of no site of the host, or of several.
    """
    study = load_study(config)
    typed = sorted({defect.name for defect in study.defects if not is_ours(defect.name)})
    if not typed:
        return study
    check_files(study)
    return _renamed(study, _our_names(study, typed, Layout(results / study.study)))


def _our_names(study: Study, typed: list[str], layout: Layout) -> dict[str, str]:
    """Our names of those that the study gives, from the file of them, or from doped."""
    host = study.host
    content = [host.file.read_bytes().hex(), host.model_dump(mode="json"), typed]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    known = _known(layout.names)
    if known.get("of") == digest:
        return dict(known["names"])
    names = _looked_up(study, typed)
    write_json(layout.names, {"of": digest, "names": names})
    return names


def _known(path: Path) -> Mapping[str, Any]:
    try:
        found = read_json(path) if path.is_file() else {}
    except StoreError:
        return {}
    return found if isinstance(found, dict) else {}


def _looked_up(study: Study, typed: list[str]) -> dict[str, str]:
    from defectscape.domain.spelling import has_interstitials, is_pair, our_name
    from defectscape.sampling.dopants import dopants
    from defectscape.sampling.host import read_host_file
    from defectscape.sampling.pairs import pair_site
    from defectscape.sampling.site_names import pick_site
    from defectscape.sampling.sites import enumerate_sites

    host = read_host_file(study.host)
    ours = [name for defect in study.defects if (name := our_name(defect.name)) is not None]
    interstitials = has_interstitials(ours)
    sites = enumerate_sites(host, interstitials=interstitials, extrinsic=dopants(host.numbers, ours))

    def found(name: str) -> str:
        return (pair_site(host, sites, name) if is_pair(name) else pick_site(sites, name, host)).name

    return {name: found(name) for name in typed}


def _renamed(study: Study, names: Mapping[str, str]) -> Study:
    """The study with other names of its defects, wherever it names one."""
    defects = [defect.model_copy(update={"name": names.get(defect.name, defect.name)}) for defect in study.defects]
    for place, defect in enumerate(defects):
        if defect.name in {other.name for other in defects[:place]}:
            raise ConfigError(
                "defects",
                f"{study.defects[place].name} is {defect.name}, which is listed already",
                "Put all its charges under one entry",
            )

    def pair(item: Any) -> Any:
        return item.model_copy(update={"defect": names.get(item.defect, item.defect)})

    ccd = study.ccd
    pairs = None if ccd.pairs is None else [pair(item) for item in ccd.pairs]
    diagrams = ccd.model_copy(update={"pairs": pairs, "capture": [pair(item) for item in ccd.capture]})
    return study.model_copy(update={"defects": defects, "ccd": diagrams})
