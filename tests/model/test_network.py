"""The network and its basis of products."""

import contextlib
import copy
import re
from collections.abc import Callable
from dataclasses import replace

import e3nn
import numpy as np
import pytest
import torch
from mace.modules import wrapper_ops
from mace.modules.symmetric_contraction import SymmetricContraction
from mace.tools import cg
from scipy.spatial.transform import Rotation

from defectscape.domain.errors import ModelError
from defectscape.domain.frame import Frame
from defectscape.model import checkpoint, preparation
from defectscape.model.backend import mace_modules, numerics, o3, read_tensors, to_numpy, write_file
from defectscape.model.blueprint import blueprint, rebuild
from defectscape.model.card import PRODUCT_BASES
from defectscape.model.checkpoint import training_digest
from defectscape.model.committee import Committee
from defectscape.model.dataset import Graphs, collate
from defectscape.model.layers.arrangement import as_mace_has_it
from defectscape.model.network import PRODUCT_BASIS, ChargedMACE
from defectscape.model.product_basis import built_with, reduced
from defectscape.model.saving import load_network, save_network, weights_digest, weights_path
from defectscape.model.training import train_member

# The network: invariances, forces as gradients, exact references, refusals.


CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(committee: Committee) -> ChargedMACE:
    return committee.members[0]


def ask(network: ChargedMACE, frame: Frame, **changes: object) -> tuple[float, np.ndarray]:
    with numerics(network.card.dtype, CPU):
        batch = collate([Graphs.of(network.card).frame(frame, "high")], CPU)
        data = {**batch.to_dict(), **changes}
        out = network({k: v for k, v in data.items() if v is not None}, training=False)
    return float(out["energy"][0].detach()), to_numpy(out["forces"])


def other(frame: Frame, positions: np.ndarray, cell: np.ndarray, order: np.ndarray) -> Frame:
    return Frame(frame.numbers[order], positions[order], cell, frame.key, 1, frame.origin, frame.family)


def test_energy_is_invariant_and_forces_turn(network, frame_of) -> None:
    frame = frame_of(3, -2)
    energy, forces = ask(network, frame)
    order = np.random.default_rng(0).permutation(len(frame))
    turn = Rotation.random(random_state=1).as_matrix()
    shift = np.array([0.7, -3.1, 12.0])
    moved = other(frame, (frame.positions_A + shift) @ turn.T, frame.cell_A @ turn.T, order)
    moved_energy, moved_forces = ask(network, moved)
    assert moved_energy == pytest.approx(energy, abs=1e-8)
    assert moved_forces == pytest.approx((forces @ turn.T)[order], abs=1e-8)
    assert np.abs(forces).max() > 0.1


@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU, layers stay scripted")
def test_layers_in_python_give_the_bits_of_scripted_ones(network, frame_of) -> None:
    with as_mace_has_it(network):
        plain = blueprint(network)
    mine = rebuild(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("defectscape.model.network.unscripted", contextlib.nullcontext)
        scripted = rebuild(plain)
    assert e3nn.get_optimization_defaults()["jit_script_fx"], "others' layers are built as before"
    counts = [sum(isinstance(layer, torch.jit.ScriptModule) for layer in each.modules()) for each in (mine, scripted)]
    assert counts[0] == 0 < counts[1]
    frame = frame_of(3, -2)
    (energy, forces), (energy_scripted, forces_scripted) = ask(mine, frame), ask(scripted, frame)
    assert energy == energy_scripted
    assert np.array_equal(forces, forces_scripted)


@pytest.mark.parametrize("charge", [-2, 1])
def test_forces_are_minus_the_gradient_of_the_raw_energy(network, frame_of, charge) -> None:
    frame = frame_of(4, charge)
    _, forces = ask(network, frame)
    assert forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    step = 1e-3
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        ends = []
        for sign in (1, -1):
            positions = frame.positions_A.copy()
            positions[atom, axis] += sign * step
            ends.append(ask(network, frame.moved(positions, origin=frame.origin))[0])
        assert forces[atom, axis] == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=2e-5)


def test_energy_is_learned_part_plus_reference(network, frame_of) -> None:
    frame = frame_of(5, 1)
    with numerics("float64", CPU):
        out = network(collate([Graphs.of(network.card).frame(frame, "low")], CPU).to_dict())
    reference = network.references.energy_eV(frame.numbers, 1, "low")
    learned = float(out["interaction_energy"][0].detach())
    assert float(out["energy"][0].detach()) == pytest.approx(learned + reference, abs=1e-9)
    assert float(out["node_energy"].sum().detach()) == pytest.approx(learned + reference, abs=1e-9)
    assert reference < -2900


def test_references_keep_float64_when_the_network_does_not(network, tmp_path) -> None:
    save_network(network, tmp_path / "copy.model")
    single = load_network(tmp_path / "copy.model").float()
    assert next(single.parameters()).dtype == torch.float32
    assert np.array_equal(single.references.charge_eV, network.references.charge_eV)
    assert np.array_equal(single.references.element_eV, network.references.element_eV)
    assert np.any(np.float32(network.references.element_eV) != network.references.element_eV)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"total_charge": None}, "total_charge: missing"),
        ({"total_charge": torch.tensor([-0.5])}, "whole number"),
        ({"total_charge": torch.tensor([float("nan")])}, "whole number"),
        ({"total_charge": torch.tensor([-1.0])}, r"-1\..*-2, 0, \+1 at high"),
        ({"total_charge": torch.tensor([2.0])}, r"\+2\."),
        ({"total_charge": torch.tensor([-3.0])}, r"-3\."),
        ({"head": None}, "head: missing"),
        ({"head": torch.tensor([2])}, "head index"),
        ({"head": torch.tensor([-1])}, "head index"),
    ],
)
def test_states_not_trained_on_are_refused(network, frame_of: Callable[..., Frame], changes, words) -> None:
    with pytest.raises(ModelError, match=words):
        ask(network, frame_of(6, 0), **changes)


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "linear.model"
    weights = tmp_path / "linear.weights"
    torch.save(torch.nn.Linear(2, 2).state_dict(), weights)
    with pytest.raises(ModelError, match="format None"):
        load_network(path)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(path)
    with pytest.raises(ModelError, match="no such file"):
        load_network(tmp_path / "none.model")


def test_the_charge_of_a_larger_cell_counts_for_every_atom(committee, frame_of) -> None:
    """Why another supercell is refused: the learned shift of a charge grows with the atoms."""
    neutral = frame_of(7, 0)
    repeats = np.array([(i, j, k) for i in range(2) for j in range(2) for k in range(2)])
    cell = 2 * neutral.cell_A
    positions = np.concatenate([neutral.positions_A + r @ neutral.cell_A for r in repeats])
    large = Frame(np.tile(neutral.numbers, 8), positions, cell, neutral.key, 1, neutral.origin, neutral.family)

    members = tuple(copy.deepcopy(network) for network in committee.members)
    for network in members:
        network.card = replace(network.card, sizes=(len(neutral), len(large)))
    unlimited = Committee(members)

    def learned(frame: Frame, charge: int) -> float:
        asked = frame.recharged(charge, origin=frame.origin)
        point = unlimited.evaluate(asked, "high")
        return point.energy_eV - committee.reference_eV(frame.numbers, charge, "high")

    small = learned(neutral, -2) - learned(neutral, 0)
    assert abs(small) > 1e-3
    assert learned(large, -2) - learned(large, 0) == pytest.approx(8 * small, rel=1e-6)
    with pytest.raises(ModelError, match="number of atoms: 56"):
        committee.evaluate(large, "high")


# The basis of products: the same functions with fewer weights, whatever is installed; files are read in their own.


FIDELITIES = ("low", "high")


def products(tensors: torch.Tensor, features: torch.Tensor, degree: int) -> np.ndarray:
    """What each tensor makes of features (m, i): (m * components of the outcome, tensors)."""
    width = features.shape[1]
    out = tensors.reshape(-1, *[width] * degree, tensors.shape[-1])
    out = torch.einsum("o...it,mi->mo...t", out, features)
    for _ in range(degree - 1):
        out = torch.einsum("mo...it,mi->mo...t", out, features)
    return out.flatten(0, 1).numpy()


@pytest.mark.parametrize(
    ("features", "target", "degree", "counts"),
    [
        ("0e+1o+2e", "0e", 2, (3, 3)),
        ("0e+1o+2e", "1o", 2, (4, 2)),
        ("0e+1o+2e", "0e", 3, (11, 5)),
        ("0e+1o+2e", "1o", 3, (21, 5)),
        ("0e+1o+2e+3o", "2e", 3, (65, 14)),
        ("0e+1o", "1o", 4, (12, 2)),
    ],
)
def test_it_spans_the_functions_of_the_full_one_and_none_twice(features, target, degree, counts) -> None:
    *_, full = cg.U_matrix_real(o3.Irreps(features), o3.Irreps(target), degree, dtype=torch.float64, use_cueq_cg=False)
    few = reduced(full, degree)
    assert (full.shape[-1], few.shape[-1]) == counts
    rng = torch.Generator().manual_seed(1)
    samples = torch.randn(120, o3.Irreps(features).dim, generator=rng, dtype=torch.float64)
    many, found = products(full, samples, degree), products(few, samples, degree)
    rank = np.linalg.matrix_rank(many)
    assert np.linalg.matrix_rank(found) == few.shape[-1] == rank
    assert np.linalg.matrix_rank(np.hstack([many, found])) == rank


def test_its_tensors_are_symmetric_orthogonal_and_as_long_as_mace_s() -> None:
    *_, full = cg.U_matrix_real(o3.Irreps("0e+1o+2e"), o3.Irreps("1o"), 3, dtype=torch.float64, use_cueq_cg=False)
    few = reduced(full, 3)
    torch.testing.assert_close(few, few.permute(0, 3, 1, 2, 4))
    torch.testing.assert_close(few, few.permute(0, 2, 1, 3, 4))
    own = few.flatten(0, -2)
    torch.testing.assert_close(own.T @ own, 3 * torch.eye(few.shape[-1], dtype=torch.float64))
    lengths = full.flatten(0, -2).square().sum(0)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 3.0))


def test_a_product_that_vanishes_is_one_zero_as_in_mace() -> None:
    # Two equal vectors have no cross product.
    *_, full = cg.U_matrix_real(o3.Irreps("1o"), o3.Irreps("1e"), 2, dtype=torch.float64, use_cueq_cg=False)
    assert full.abs().max() > 0.1
    assert torch.equal(reduced(full, 2), torch.zeros(3, 3, 3, 1, dtype=torch.float64))


@pytest.fixture
def with_cuequivariance(monkeypatch) -> None:
    """mace believes that it is installed, and is caught when it asks for it."""

    def caught(*args: object, **kwargs: object) -> None:
        raise AssertionError("cuequivariance was asked")

    monkeypatch.setattr(wrapper_ops, "CUET_AVAILABLE", True)
    monkeypatch.setattr(cg, "CUET_AVAILABLE", True)
    monkeypatch.setattr(cg, "compute_U_cueq", caught, raising=False)


def test_what_is_installed_does_not_decide(model_paths, with_cuequivariance) -> None:
    plain = read_tensors(weights_path(model_paths[0]))
    # The trap works: a network of mace's own choice springs it.
    with pytest.raises(AssertionError, match="was asked"), numerics("float64", CPU):
        mace_modules.EquivariantProductBasisBlock(
            o3.Irreps("2x0e+2x1o"), o3.Irreps("2x0e"), 2, num_elements=2, use_reduced_cg=True
        )
    assert weights_digest(rebuild(plain)) == weights_digest(load_network(model_paths[0]))


@pytest.mark.usefixtures("with_cuequivariance")
@pytest.mark.parametrize("basis", PRODUCT_BASES)
def test_a_new_network_has_the_basis_that_is_set(
    basis, train_data, valid_data, settings_of, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(preparation, "PRODUCT_BASIS", basis)
    path = tmp_path / "m.model"
    train_member(train_data, valid_data, FIDELITIES, settings_of(steps=1), 3, 0, path)
    network = load_network(path)
    assert network.card.product_basis == basis == read_tensors(weights_path(path))["card"]["product_basis"]
    # Of the second degree, the outcome 1o has four paths, in two pairs that differ by the order of the factors.
    (vector,) = (
        each.U_matrix_2
        for each in network.products[0].symmetric_contractions.contractions
        if each.U_matrix_2.dim() == 4
    )
    assert vector.shape[-1] == {"full": 4, "reduced": 2}[basis]


def of_basis(network: torch.nn.Module, basis: str) -> dict:
    """The blueprint of a network like a given one, but in a basis, with random weights."""
    with built_with(basis), numerics(network.card.dtype, CPU):
        plain = blueprint(network)
        plain["card"]["product_basis"] = basis
        torch.manual_seed(5)
        for number, block in enumerate(network.products):
            old = block.symmetric_contractions
            new = SymmetricContraction(
                old.irreps_in, old.irreps_out, network.architecture["correlation"], num_elements=2
            )
            prefix = f"products.{number}.symmetric_contractions."
            plain["state"].update({prefix + name: t for name, t in new.state_dict().items()})
    return plain


@pytest.mark.parametrize("basis", PRODUCT_BASES)
def test_a_file_that_names_no_basis_is_read_as_what_it_holds(model_paths, basis) -> None:
    plain = of_basis(load_network(model_paths[0]), basis)
    named = rebuild(copy.deepcopy(plain))
    del plain["card"]["product_basis"]
    # Such files of a foundation start repeat a word that was not always true.
    plain["architecture"]["use_reduced_cg"] = basis == "full"
    network = rebuild(plain)
    assert network.card.product_basis == basis
    assert weights_digest(network) == weights_digest(named)


def test_a_file_whose_tensors_are_of_another_basis_is_refused(model_paths, tmp_path) -> None:
    plain = of_basis(load_network(model_paths[0]), "full")
    for word, message in (
        (
            "reduced",
            r"product basis of the weights file: its card names 'reduced', but .* Train the model again",
        ),
        (
            "sparse",
            r"product basis of the weights file: 'sparse'\. This version knows full, reduced",
        ),
    ):
        plain["card"]["product_basis"] = word
        write_file(weights_path(tmp_path / "m.model"), plain)
        with pytest.raises(ModelError, match=message):
            load_network(tmp_path / "m.model")


def turned(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same functions in another basis: the sign of every tensor, and of its weight, is the other one."""
    ours = re.compile(r".*contractions\.\d+\.(U_matrix_\d+|weights_max|weights\.\d+)")
    return {name: -value if ours.fullmatch(name) else value for name, value in state.items()}


def test_a_file_with_other_tensors_of_the_same_functions_keeps_them(model_paths, frame_of) -> None:
    plain = of_basis(load_network(model_paths[0]), "reduced")
    other = {**plain, "state": turned(plain["state"])}
    frame = frame_of(95, 1)
    points = [Committee((rebuild(each),)).evaluate(frame, "high") for each in (plain, other)]
    assert weights_digest(rebuild(other)) != weights_digest(rebuild(plain))
    assert points[0].energy_eV == pytest.approx(points[1].energy_eV, abs=1e-8)
    np.testing.assert_allclose(points[0].forces_eV_A, points[1].forces_eV_A, atol=1e-8)
    assert np.abs(points[0].forces_eV_A).max() > 1e-3


def test_a_start_takes_the_tensors_with_the_weights(
    model_paths, train_data, valid_data, settings_of, tmp_path, frame_of
) -> None:
    plain = read_tensors(weights_path(model_paths[0]))
    write_file(weights_path(tmp_path / "old.model"), {**plain, "state": turned(plain["state"])})
    settings = settings_of(steps=1, validate_every=1, learning_rate=1e-300)
    train_member(
        train_data,
        valid_data,
        FIDELITIES,
        settings,
        1,
        0,
        tmp_path / "new.model",
        tmp_path / "old.model",
    )
    frame = frame_of(96, 0)
    forces = [
        Committee.load([path]).evaluate(frame, "high").forces_eV_A for path in (model_paths[0], tmp_path / "new.model")
    ]
    np.testing.assert_allclose(forces[0], forces[1], atol=1e-8)


def test_a_start_from_another_basis_is_refused(model_paths, train_data, valid_data, settings_of, tmp_path) -> None:
    (other,) = set(PRODUCT_BASES) - {PRODUCT_BASIS}
    plain = of_basis(load_network(model_paths[0]), other)
    write_file(weights_path(tmp_path / "old.model"), plain)
    with pytest.raises(ModelError, match=f"product_basis of the model to start from: {other}.*`warm_start` off"):
        train_member(
            train_data,
            valid_data,
            FIDELITIES,
            settings_of(steps=1),
            1,
            0,
            tmp_path / "m",
            tmp_path / "old.model",
        )


def test_a_checkpoint_of_another_basis_is_of_another_training(train_data, valid_data, settings_of, monkeypatch) -> None:
    digests = set()
    for basis in PRODUCT_BASES:
        monkeypatch.setattr(checkpoint, "PRODUCT_BASIS", basis)
        digests.add(training_digest(train_data, valid_data, settings_of(), 1, None))
    assert len(digests) == len(PRODUCT_BASES)
