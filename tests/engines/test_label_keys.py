"""Label keys are what they were: whatever is renamed, every label that exists is found again.

The expected values were computed with the code of commit c3ba067, before the engines' classes and terms were
renamed. A test that fails here means that stores and data sets lose their labels: mend the code, not the numbers.
"""

import hashlib
from typing import Any

import pytest
from pydantic import TypeAdapter

from defectscape.domain.frame import Frame, Origin
from defectscape.domain.keys import DefectKey
from defectscape.engines.registry import make_local_engine
from defectscape.engines.vasp_output import read_run
from defectscape.files.extxyz import read_labelled
from defectscape.settings.engine import EngineSettings
from defectscape.store.labels import label_key
from support import ROOT

PW: dict[str, Any] = {
    "kind": "espresso",
    "functional": "pbe",
    "command": "pw.x",
    "pseudo_dir": "nowhere",
    "pseudopotentials": {"Sb": "Sb.q5.gth", "Se": "Se.q6.gth"},
    "pseudo_sha256": {
        "Sb": "ed9aa7fc5865e914a4b4a6e93ad873832ae01878a84d4175a070cc730aaef1b5",
        "Se": "bd385b6825b7d03b525f353468c1f7852084b5be54e24149db2128b727ec6c4b",
    },
    "cutoff_Ry": 32.0,
    "kpoints": [1, 1, 1],
    "convergence_Ry": 1e-6,
}
DATA_SETS: dict[str, dict[str, Any]] = {
    "cdte_xtb/gfn1": {"kind": "tblite", "method": "GFN1-xTB"},
    "cdte_xtb/ipea1": {"kind": "tblite", "method": "IPEA1-xTB"},
    "sb2se3/pbe": PW,
    "sb2se3/hse06": PW | {"functional": "hse06", "convergence_Ry": 1e-5},
}


def engine_of(settings: dict[str, Any]):
    return make_local_engine(TypeAdapter(EngineSettings).validate_python(settings))


def keys_of(name: str) -> list[str]:
    engine = engine_of(DATA_SETS[name])
    path = ROOT / f"data/{name}.extxyz.xz"
    frames = [item.frame for item in read_labelled(path, name.partition("/")[2])]
    return [label_key(frame, engine.name, engine.settings_of(frame.numbers)) for frame in frames]


KEYS = {
    "cdte_xtb/gfn1": (
        "e38a84b208c8c880f81cd5dcd462157e9cc9b9a35d0a65438136faa2b69bcf2a",
        "dc36cd24592058cead485a7908b09178b5262a51919d642435156efb7045074c",
    ),
    "cdte_xtb/ipea1": (
        "b6745f0740e3aad73540fe6b11323e64f920816fb13b849afa1cc791fc515ed2",
        "0221103c54c0178e8cf6f9cf1786ef9e8a8b3dcbba422931c4946f9fd7a729fc",
    ),
    "sb2se3/pbe": (
        "9fe7f0bcdc5139d7e95880d08213513d3235037d0a395665bd3ed8e954fb4617",
        "61e4f4cc122ebdab44ffdb357911fbffeadb2f62874261863a61235a2694cf60",
    ),
    "sb2se3/hse06": (
        "6edee797c1d5e15627770a37ce38aa52a489d9245b40693684f01cbc4564615d",
        "e7fde27de3544ea8fa3433470cb934368b2d1631a27ba66454f44e9e6c716042",
    ),
}
"""The first frame's key, and the hash of all keys of the data set in order of the alphabet."""


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_labels_of_a_data_set_keep_their_keys(name: str) -> None:
    keys = keys_of(name)
    together = hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()
    assert (keys[0], together) == KEYS[name]


OTHERS: dict[str, dict[str, Any]] = {
    "vasp": {
        "kind": "vasp",
        "functional": "hse06",
        "command": "vasp_gam",
        "potcar_dir": "nowhere",
        "potcars": {"Cd": "Cd", "Te": "Te"},
        "cutoff_eV": 450.0,
        "kpoints": [1, 1, 1],
        "potcar_titles": {"Cd": "PAW_PBE Cd 06Sep2000", "Te": "PAW_PBE Te 08Apr2002"},
        "exx_fraction": 0.345,
        "screening_1_A": 0.2,
        "incar": {"LREAL": False, "ADDGRID": True},
    },
    "ase": {
        "kind": "ase",
        "calculator": "ase.calculators.cp2k.CP2K",
        "method": "PBE",
        "folder": "directory",
        "arguments": {"xc": "PBE", "cutoff": 6000, "uks": True},
        "charge": "charge",
        "multiplicity": "multiplicity",
        "failed_if": {"cp2k.out": "SCF run NOT converged"},
        "ladder": [{"max_scf": 200}],
        "revision": "CP2K 2023.1",
    },
}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("vasp", "032886ef2ffd7450e539fc79e33eb84e371555f9740d7c2289a352bcb841954d"),
        ("ase", "28774819a95d4a2207b46c598f1f3241ab253f6f25d6dfe51b8475972baf1f29"),
    ],
)
def test_labels_of_other_engines_keep_their_keys(kind: str, key: str) -> None:
    run = read_run(ROOT / "tests/data/vasp/cdte_Cd_i_C3v_0/vasprun.xml.gz")
    step = run.steps[0]
    frame = Frame(run.numbers, step.positions_A, step.cell_A, DefectKey("i_Cd_3", 0), 1, Origin.START, "x")
    engine = engine_of(OTHERS[kind])
    assert label_key(frame, engine.name, engine.settings_of(frame.numbers)) == key
