"""Tags of a VASP run that make its energies something else than its level of theory says.

No list of bad tags is ever whole. Here stand the tags that change no converged energy or force, and those that
are compared elsewhere; every other tag must have VASP's default, or the value that the study itself gives it.
``<incar>`` holds what the user wrote, ``<parameters>`` everything: what stands there and is not written in
the INCAR is a default, unless it is known to be none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What is written.
_WRITTEN = """
    SYSTEM NWRITE LWAVE LCHARG LCHGCAR LVTOT LVHAR LELF LAECHG LORBIT LORBITALREAL RWIGS NEDOS EMIN EMAX LWAVEH5
    LCHARGH5 LH5 LVACPOTAV LKINETIC LDOWNSAMPLE LBERRY LOPTICS LDAUPRINT NBLOCK KBLOCK NPACO APACO LWRTFULL
    CSHIFT LNABLA LCALCPOL LORBMOM DEG_THRESHOLD IDIOT LEFG QUAD_EFG LHYPERFINE NGYROMAG
"""
# How the work is shared out.
_SHARED_OUT = """
    NPAR NCORE KPAR NSIM NBLK LPLANE LSCALAPACK LSCALU LSCAAWARE LASYNC LELPA LUSENCCL NBLOCK_FOCK MAXMEM
    NTAUPAR TAUPAR NOMEGAPAR OMEGAPAR NCORE_IN_IMAGE1 NCSHMEM
"""
# Start and restart.
_RESTART = """
    ISTART INIWAV MAGMOM NREBOOT IRESTART TURBO
"""
# How the self-consistent solution is reached; ALGO, IALGO and ICHARG are below.
_SOLUTION = """
    NELM NELMIN NELMDL NELMGW NELMHF NMIN NRMM LDIAG LSUBROT WEIMIN EBREAK DEPER TIME EREF EFERMI ENINI IWAVPR
    NBANDS NBANDSLOW NBANDSHIGH AMIX BMIX AMIN AMIX_MAG BMIX_MAG IMIX MIXFIRST MAXMIX WC INIMIX MIXPRE MREMOVE
    LMAXMIX LMIXTAU LFOCKACE DAMP_NEWTON
"""
# Symmetry.
_SYMMETRY = """
    ISYM SYMPREC
"""
# Steps of the ions; the cell of every step is compared.
_IONS = """
    NSW IBRION ISIF EDIFFG POTIM NFREE SMASS TEBEG TEEND POMASS MDALGO LANGEVIN_GAMMA LANGEVIN_GAMMA_L
    ANDERSEN_PROB NHC_NCHAINS NHC_PERIOD NHC_NRESPA NHC_NS CSVR_PERIOD PMASS RANDOM_SEED ISEARCH
    LATTICE_CONSTRAINTS
"""
# Where a dipole would be, not whether it is corrected for; axes without spin-orbit coupling; a setting of ALGO = BSE,
# which VASP 5 lists as if it stood in the INCAR.
_WITHOUT_EFFECT = """
    DIPOL SAXIS KPOINT_BSE
"""

HARMLESS = frozenset("".join((_WRITTEN, _SHARED_OUT, _RESTART, _SOLUTION, _SYMMETRY, _IONS, _WITHOUT_EFFECT)).split())
"""Tags that change no converged energy or force, whatever their value."""

_COMPARED = """
    ENCUT ENMAX PREC LREAL ISMEAR SIGMA GGA METAGGA LMETAGGA LHFCALC AEXX HFSCREEN PRECFOCK NKRED NKREDX IVDW
    ADDGRID LASPH LSORBIT LDAU LDAUTYPE LDAUL LDAUU LDAUJ NELECT ISPIN NUPDOWN EDIFF KSPACING KGAMMA
"""

COMPARED = frozenset(_COMPARED.split())
"""Part of the level of theory, the charge, the spin or the convergence, which are held against the study's."""

SELF_CONSISTENT = "N NORMAL V VERYFAST VERY_FAST F FAST C CONJUGATE A ALL D DAMPED E EXACT"
_NO, _ZERO, _NONE = "F .FALSE.", "0", "--"

DEFAULTS: Mapping[str, str] = {
    "ALGO": SELF_CONSISTENT,
    "IALGO": "8 38 44 46 48 53 54 55 56 57 58 68 90",
    "ICHARG": "0 1 2 4",
    "ICORELEVEL": "0 1",
    "KBLOWUP": "T F",
    "LMAXPAW": "-100",
    "NLSPLINE": _NO,
    "LCOMPAT": _NO,
    "LCORR": "T",
    "GGA_COMPAT": "T",
    "VOSKOWN": _ZERO,
    "LHARTREE": "T",
    "LXLDA": _NO,
    "SCALEE": "1",
    "PSTRESS": _ZERO,
    "LNONCOLLINEAR": _NO,
    "LSPIRAL": _NO,
    "LZEROZ": _NO,
    "I_CONSTRAINED_M": _ZERO,
    "LDIPOL": _NO,
    "LMONO": _NO,
    "IDIPOL": _ZERO,
    "EPSILON": "1",
    "EFIELD": _ZERO,
    "EFIELD_PEAD": _ZERO,
    "DFIELD": _ZERO,
    "LPARD": _NO,
    "LEPSILON": _NO,
    "LCALCEPS": _NO,
    "LPEAD": _NO,
    "LRPA": _NO,
    "LRHFCALC": _NO,
    "LHFONE": _NO,
    "LTHOMAS": _NO,
    "LMODELHF": _NO,
    "LFOCKAEDFT": _NO,
    "EXXOEP": _ZERO,
    "FOURORBIT": _ZERO,
    "HFRCUT": "0 -1",
    "ENCUT4O": "-1",
    "SHIFTRED": _NO,
    "ODDONLY": _NO,
    "EVENONLY": _NO,
    "LSYMGRAD": _NO,
    "MCALPHA": _ZERO,
    "LUSE_VDW": _NO,
    "LVDW": _NO,
    "LVDW_EWALD": _NO,
    "LVDWSCS": _NO,
    "LVDWEXPANSION": _NO,
    "LSOL": _NO,
    "LLIBXC": _NO,
    "LTBOUNDLIBXC": _NO,
    "LSFBXC": _NO,
    "IBSE": _ZERO,
    "LADDER": _NO,
    "LFXC": _NO,
    "LCHIMAG": _NO,
    "ORBITALMAG": _NO,
    "CLZ": _ZERO,
    "LFINITE_TEMPERATURE": _NO,
    "LMP2LT": _NO,
    "LSMP2LT": _NO,
    "L2ORDER": _NO,
    "LMUSIC": _NO,
    "LVCADER": _NO,
    "ML_LMLFF": _NO,
    "ML_FF_LMLFF": _NO,
    "XC": _NONE,
    "GGA2": _NONE,
    "LIBXC1": _NONE,
    "LIBXC2": _NONE,
    "IMAGES": _ZERO,
    "ICHAIN": _ZERO,
    "LNEBCELL": _NO,
}
"""Values that are VASP's defaults, or leave a self-consistent energy as it is, of tags that stand in neither set."""

_ENTRY = re.compile(r'<[iv]\b[^>]*?\bname="\s*([^"]+?)\s*"[^>]*>([^<]*)<')
Value = tuple[float | str, ...]
_BLANK = (("",), ("--",))


@dataclass(frozen=True)
class RunTags:
    """What a run was told.

    Attributes:
        written: (tag, value) of the INCAR, in its order.
        parameters: (tag, value) of all parameters, by VASP's own account; a tag may stand there twice.
    """

    written: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]


def tags_of_head(head: str) -> RunTags:
    """The tags in the head of a vasprun.xml."""
    return RunTags(_entries(head, "incar"), _entries(head, "parameters"))


def foreign_tags(tags: RunTags, study: Mapping[str, Any]) -> list[str]:
    """Tags that make a run's energies other ones, each as ``NAME = value``.

    Args:
        tags: those of the run.
        study: tags that the study gives its own labels: the same value is no difference.
    """
    mine = {name.upper(): _normal(str(value)) for name, value in study.items()}
    values = {name: _normal(text) for name, text in (*tags.written, *tags.parameters)}
    derived = _derived(values)
    found = {}
    written = {name for name, _ in tags.written}
    for name, text in (*tags.written, *tags.parameters):
        if name in HARMLESS or name in COMPARED:
            continue
        value = _normal(text)
        allowed = derived.get(name) or [_normal(word) for word in DEFAULTS.get(name, "").split()]
        if not allowed and name not in written:
            continue
        if value in allowed or value in _BLANK or mine.get(name) == value:
            continue
        if allowed and set(value) == set(allowed[0]) and len(allowed[0]) == 1:
            # A vector of nothing but the default.
            continue
        found[name] = f"{name} = {text.strip()}"
    return list(found.values())


def _derived(values: Mapping[str, Value]) -> dict[str, list[Value]]:
    """Defaults that follow from other tags: exchange that is not exact, one reduction along all axes."""
    hybrid = values.get("LHFCALC") == ("T",)
    exact = values.get("AEXX", (0.25,))[0] if hybrid else 0.0
    share: Value = (round(1.0 - exact, 8) if isinstance(exact, float) else 1.0,)
    correlation: list[Value] = [(1.0,), (0.0,)] if exact == 1.0 else [(1.0,)]
    reduction = values.get("NKREDX", values.get("NKRED", (1.0,)))
    return {
        **{name: [share] for name in ("ALDAX", "AGGAX", "AMGGAX")},
        **dict.fromkeys(("ALDAC", "AGGAC", "AMGGAC"), correlation),
        **{name: [reduction] for name in ("NKREDY", "NKREDZ")},
    }


def _entries(head: str, section: str) -> tuple[tuple[str, str], ...]:
    _, _, rest = head.partition(f"<{section}>")
    block = rest.partition(f"</{section}>")[0]
    return tuple((name.upper(), value.strip()) for name, value in _ENTRY.findall(block))


def _normal(text: str) -> Value:
    """A value to compare: numbers as numbers, logicals as T or F, words in capitals."""
    return tuple(_word(word) for word in text.split()) or ("",)


def _word(word: str) -> float | str:
    try:
        return round(float(word), 8)
    except ValueError:
        bare = word.strip("\"'").upper()
        return {".TRUE.": "T", "TRUE": "T", ".T.": "T", ".FALSE.": "F", "FALSE": "F", ".F.": "F"}.get(bare, bare)
