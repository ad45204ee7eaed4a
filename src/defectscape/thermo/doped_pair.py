"""A pair of point defects as an object that doped takes among its own.

The released doped has no complexes. pymatgen's ``DefectComplex`` holds the two and the atoms that they exchange, but
lacks what doped asks of a defect: a multiplicity, and a site to sort by. A file that holds one is read back where this
package is installed.
"""

from collections.abc import Sequence
from typing import Any

from pymatgen.analysis.defects.core import DefectComplex


class DopedPair(DefectComplex):
    """Two point defects of one supercell.

    Args:
        defects: doped's defects, in the same bulk structure.
        multiplicity: such pairs in that structure.
        oxi_state: neither guessed nor used, since charge states are given.
    """

    def __init__(self, defects: Sequence[Any], multiplicity: int, oxi_state: Any = "Undetermined") -> None:
        super().__init__(list(defects), oxi_state=oxi_state)
        self.multiplicity = multiplicity

    @property
    def defect_site(self) -> Any:
        """The first partner's: doped sorts defects by its element."""
        first: Any = self.defects[0]
        return first.defect_site

    @property
    def volume(self) -> float:
        """Volume of the structure that the multiplicity counts in, A^3."""
        return float(self.structure.volume)

    @property
    def defect_type(self) -> Any:
        """The first partner's: doped sorts defects by it."""
        return self.defects[0].defect_type

    def get_multiplicity(self, *_: Any, **__: Any) -> int:
        """Such pairs in the bulk structure."""
        return self.multiplicity
