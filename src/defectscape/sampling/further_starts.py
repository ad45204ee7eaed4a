"""Starts beyond those of a study, as many as a search asks for: each has a number, and a seed of its own.

The study's starts are few, since each makes a part of the pool, which is labelled; these are relaxed with the model
alone. Bond distortions have other factors and numbers of neighbours, rattles are larger, and atoms leave their sites
in other directions or from neighbours further away.

A start that lies beside one of the study's belongs to that one's geometry family: where that is held out, so is
this one, and nothing of it is trained on. What lies beside none of them trains, as minima do that a search found.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from defectscape.domain.family import Split, found_family
from defectscape.domain.frame import Floats, Frame, Origin
from defectscape.domain.seeds import derive_rng, derive_seed
from defectscape.domain.site import DefectSite, HostCrystal
from defectscape.sampling.candidates import candidates
from defectscape.sampling.lengths import bond_length_A, closest_allowed_A, sampling_lengths, too_close
from defectscape.sampling.pair_distortions import where_is
from defectscape.sampling.sites import closest_atom, defect_frame
from defectscape.sampling.starts import bond_label, coordination, distorted, distorted_neighbours
from defectscape.settings.sampling import SamplingSettings

log = logging.getLogger(__name__)

LARGEST_DISTORTION = 0.6
"""Of ShakeNBreak's own grid."""
RATTLES = (2, 4, 8)
"""Standard deviations of further rattles in turn, in units of that of the study's starts."""
OFF_SITE = (0.2, 0.6)
"""An added atom leaves its site by a length between these, in units of the host's bond length."""
MOST_SPLITS = 6
"""Neighbours of a vacancy that may come half way, each at another distance."""


@dataclass(frozen=True)
class FurtherSampling:
    """Makes further starts of one defect and charge; number 0, 1, ... of each kind.

    Attributes:
        host, site, charge: the defect.
        sampling, seed: of the study.
        splits: split of every geometry family of the study's starts of this defect.
        multiplicity: of the spin, 2S + 1; None for the lowest.
    """

    host: HostCrystal
    site: DefectSite
    charge: int
    sampling: SamplingSettings
    seed: int
    splits: Mapping[str, Split]
    multiplicity: int | None = None

    def distortion(self, number: int) -> Frame | None:
        """A bond distortion by another factor, of as many neighbours as the study's in every other one.

        Factors fill the range evenly, whatever their number. None if atoms overlap.
        """
        name, charge = self.site.name, self.charge
        share = LARGEST_DISTORTION * (2 * van_der_corput(number + 2) - 1)
        shell = coordination(self.host, self.site)
        rng = derive_rng(self.seed, name, charge, "neighbours", number)
        count = int(rng.integers(1, shell + 1)) if number % 2 else distorted_neighbours(self.host, self.site, charge)
        unperturbed, limit_A = self._unperturbed, self.sampling.shortest_distance_A
        positions = distorted(
            unperturbed,
            where_is(unperturbed, self.site.points[0]),
            1.0 + share,
            count,
            {
                "stdev": self._rattle_A,
                "d_min": float(closest_allowed_A(unperturbed.numbers, limit_A).min()),
                "seed": derive_seed(self.seed, name, charge, "further distortion", number),
            },
            limit_A,
        )
        note = f"bond distortion {100 * share:+.1f}%, {count} neighbours"
        return self._start(positions, self._family_of_distortion(share), note)

    def rattle(self, number: int) -> Frame | None:
        """All atoms displaced by a Gaussian. None if atoms overlap."""
        std_A = RATTLES[number % len(RATTLES)] * self._rattle_A
        rng = derive_rng(self.seed, self.site.name, self.charge, "further rattle", number)
        unperturbed = self._unperturbed
        positions = unperturbed.positions_A + rng.normal(0.0, std_A, unperturbed.positions_A.shape)
        return self._start(positions, "rattle", f"rattle {number + 1} by {std_A:.2f} A")

    def off_site(self, number: int) -> Frame | None:
        """An added atom off its site in some direction; for a vacancy, the next split one. None if there is none.

        Of a pair the first partner, as in the study's starts.
        """
        unperturbed, point = self._unperturbed, self.site.points[0]
        rng = derive_rng(self.seed, self.site.name, self.charge, "off site", number)
        if point.added is None:
            rank = self.sampling.split_vacancies + number
            splits = candidates(unperturbed, self.site, MOST_SPLITS, None)
            for label, note, bare in islice(splits, rank, rank + 1):
                rattle = rng.normal(0.0, self._rattle_A, bare.shape)
                return self._start(bare + rattle, label, f"{note}, further out")
            return None
        place = np.asarray(point.frac_coords) @ unperturbed.cell_A
        atom = closest_atom(unperturbed.positions_A, unperturbed.cell_A, place)
        direction = rng.normal(size=3)
        step_A = rng.uniform(*OFF_SITE) * bond_length_A(self.host)
        positions = unperturbed.positions_A + rng.normal(0.0, self._rattle_A, unperturbed.positions_A.shape)
        positions[atom] += step_A * direction / np.linalg.norm(direction)
        return self._start(positions, self._family_off_centre(), f"{step_A:.1f} A off its site, direction {number + 1}")

    @property
    def _unperturbed(self) -> Frame:
        return defect_frame(self.host, self.site, self.charge, self.multiplicity)

    @property
    def _rattle_A(self) -> float:
        return sampling_lengths(self.sampling, self.host).start_rattle_A

    def _family_of_distortion(self, share: float) -> str:
        """Label of the study's next bond distortion on either side, of those that it has starts of: of a held-out one
        if one of the two is."""
        known = {d: f"{self.site.name}/{bond_label(d)}" for d in self.sampling.bond_distortions}
        known = {d: family for d, family in known.items() if family in self.splits}
        below = max((d for d in known if d <= share), default=None)
        above = min((d for d in known if d >= share), default=None)
        beside = sorted({d for d in (below, above) if d is not None}, key=lambda d: (abs(d - share), d))
        return self._held_out_first([known[d] for d in beside]) or "rattle"

    def _family_off_centre(self) -> str:
        """Label of the study's own such starts, where it has any; of a held-out one, since any direction may be its."""
        return self._held_out_first(sorted(f for f in self.splits if f.startswith(f"{self.site.name}/offcentre")))

    def _held_out_first(self, families: Sequence[str]) -> str:
        """Label of the first family that is held out for testing, for validation, or of the first; empty if none."""
        held = [family for split in (Split.TEST, Split.VALID) for family in families if self.splits[family] == split]
        return next(iter([*held, *families]), "").partition("/")[2]

    def _start(self, positions: Floats | None, label: str, note: str) -> Frame | None:
        unperturbed, limit_A = self._unperturbed, self.sampling.shortest_distance_A
        if positions is None or too_close(unperturbed.numbers, positions, unperturbed.cell_A, limit_A):
            log.info("%s, further start, %s: dropped, atoms too close", unperturbed.key, note)
            return None
        family = f"{self.site.name}/{label}"
        return Frame(
            unperturbed.numbers,
            positions,
            unperturbed.cell_A,
            unperturbed.key,
            unperturbed.multiplicity,
            Origin.START,
            family if family in self.splits else found_family(self.site.name),
            unperturbed.frame_id,
            f"further: {note}",
        )


def van_der_corput(number: int) -> float:
    """The number-th of van der Corput's sequence in base 2, which fills 0 to 1 evenly at any length."""
    value, weight = 0.0, 0.5
    while number:
        number, bit = divmod(number, 2)
        value += weight * bit
        weight /= 2
    return value
