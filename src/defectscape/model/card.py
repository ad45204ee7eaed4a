"""The model card: what a saved model was trained on, and what it must not be asked."""

from dataclasses import dataclass
from typing import Literal, get_args

from defectscape.domain.keys import DefectKey

ProductBasis = Literal["full", "reduced"]
PRODUCT_BASES: tuple[ProductBasis, ...] = get_args(ProductBasis)

CHARGE_WARNING = (
    "mace's own MACECalculator reads the charge from atoms.info['charge'], or from "
    "atoms.info['total_charge'] if it is given info_keys={'total_charge': 'total_charge'}. If the "
    "entry is missing it puts charge 0 in silence, and this model cannot tell. Always set it. "
    "defectscape's own calculator takes the charge as an argument and has no such default."
)

PRIOR_WARNING = (
    "This model was trained over a prior, which mace's own MACECalculator does not know: it gives what was learned "
    "over the prior, which is no energy of anything. defectscape.study.calculator.DefectCalculator puts the prior back."
)


@dataclass(frozen=True)
class ModelCard:
    """Provenance and limits of one member.

    Attributes:
        fidelities: heads of the model, low first.
        elements: atomic numbers, ascending.
        keys: defects and charges trained on, per fidelity, as (fidelity, key).
        sizes: numbers of atoms trained on, ascending. The charge embedding adds the same vector to
            every atom, so a charge shift can scale with the number of atoms: a model trained on
            one supercell says nothing of another.
        r_max_A: radial cutoff, A.
        product_basis: which tensors its products are made of (``product_basis.py``).
        strategy: how its fidelities were trained.
        heads: readouts: as many as fidelities, or one for all.
        dtype: floating-point type of the network; energy references are float64 always.
        member: index in its committee.
        seed: seed of its weights and of its frame order.
        version: of defectscape.
        prior: energies and forces under the model, which its predictions lack: engines and settings as one line
            of JSON; empty for none.
        warning: how to hand the charge to mace's own calculator, and what that lacks over a prior.
    """

    fidelities: tuple[str, ...]
    elements: tuple[int, ...]
    keys: tuple[tuple[str, DefectKey], ...]
    sizes: tuple[int, ...]
    r_max_A: float
    product_basis: ProductBasis
    strategy: str
    heads: int
    dtype: str
    member: int
    seed: int
    version: str
    prior: str = ""
    warning: str = CHARGE_WARNING

    @property
    def defects(self) -> tuple[str, ...]:
        """Defects trained on."""
        return tuple(sorted({key.defect for _, key in self.keys}))

    @property
    def charges(self) -> tuple[int, ...]:
        """Charges trained on at any fidelity, units of e."""
        return tuple(sorted({key.charge for _, key in self.keys}))
