"""Ground states at another spin multiplicity: as rows of the summary, and as warnings where another one is lower."""

from collections.abc import Sequence

from defectscape.domain.energies import TransitionLevel
from defectscape.domain.keys import format_charge
from defectscape.sampling.electrons import mixed_spins, spin_warning, untold_spins
from defectscape.settings.engine import tells_spins
from defectscape.study.context import StudyContext
from defectscape.study.host import read_host, read_sites
from defectscape.study.spin_checks import SpinCheck, read_spin_checks
from defectscape.summary.schema import SpinRow


def spin_rows(context: StudyContext, levels: Sequence[TransitionLevel]) -> list[SpinRow]:
    """Every ground state that was computed at another multiplicity, and the levels that rest on it."""
    return [_row(check, levels) for check in read_spin_checks(context)]


def _row(check: SpinCheck, levels: Sequence[TransitionLevel]) -> SpinRow:
    charge, mine = check.key.charge, [level for level in levels if level.defect == check.key.defect]
    return SpinRow(
        key=str(check.key),
        defect=check.key.defect,
        charge=charge,
        reason=check.reason,
        multiplicity=check.multiplicity,
        other_multiplicity=check.other,
        difference_eV=check.difference_eV,
        lower=check.lower,
        failure=check.failure,
        levels=[level.label for level in mine if charge in (level.upper, level.lower)],
    )


def spin_lines(context: StudyContext, levels: Sequence[TransitionLevel]) -> list[str]:
    """Warnings: states whose spin is a guess, those whose other multiplicity is lower, and what is not known."""
    engine = context.study.fidelities.high.engine
    every, told = context.study.stated_multiplicities, tells_spins(engine)
    stated = {key: every[key] for _, key in context.keys if key in every}
    keys, host, sites = [key for _, key in context.keys], read_host(context), read_sites(context)
    lowest = [key for key in keys if key not in every]
    guesses = spin_warning(host, sites, lowest, checked=context.study.checks_spin, told=told)
    checks = read_spin_checks(context)
    lines = [f"{key}: its spin multiplicity, {spin}, is stated by the study." for key, spin in stated.items()]
    lines += [f"{line}." for line in mixed_spins(host, sites, keys, every)]
    lines += [f"{guesses}."] if guesses else []
    lines += [f"{untold_spins(stated, engine.method)}."] if stated and not told else []
    lines += [_lower_line(check, _row(check, levels).levels) for check in checks if check.lower]
    failed = ", ".join(f"{check.key} ({check.other})" for check in checks if check.other_eV is None)
    if failed:
        lines.append(
            f"The engine has no energy at the other spin multiplicity, so it is not known to be higher: {failed}."
        )
    blind = ", ".join(str(check.key) for check in checks if check.blind)
    if blind:
        lines.append(
            f"{engine.method} gives two spin multiplicities the same energy ({blind}): it does not look at the spin "
            "that it is told, and none of the spins here is checked."
        )
    return lines


def _lower_line(check: SpinCheck, levels: Sequence[str]) -> str:
    """That another multiplicity is lower, what rests on the one that was taken, and what to do."""
    fall_eV = -(check.difference_eV or 0.0)
    rest = f"; the levels {', '.join(levels)} of {check.key.defect} rest on it" if levels else ""
    return (
        f"{check.key}: at the geometry of its ground state, multiplicity {check.other} is {1e3 * fall_eV:.0f} meV "
        f"below {check.multiplicity}, at which it was computed ({check.reason}){rest}. To compute it so from its "
        f'starts on, give {check.key.defect} multiplicities: {{"{format_charge(check.key.charge)}": {check.other}}}.'
    )
