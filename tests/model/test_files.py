"""Model files from others: foundation models to start from, and blueprints that run nothing."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.backend import mace_modules, numerics, o3, read_tensors, write_file
from defectscape.model.blueprint import blueprint, rebuild
from defectscape.model.committee import Committee
from defectscape.model.foundation import foundation_architecture
from defectscape.model.product_basis import built_with
from defectscape.model.saving import load_network, save_network, weights_digest, weights_path
from defectscape.model.training import train_member
from defectscape.model.trust import trust

# A foundation start: the file's energies and forces at first, our references, a live embedding.


FIDELITIES = ("low", "high")
CPU = torch.device("cpu")
ELEMENTS = [34, 48, 51, 52, 77]
ARCHITECTURE = {
    "channels": 6,
    "max_L": 1,
    "max_ell": 2,
    "correlation": 3,
    "r_max_A": 4.4,
    "layers": 2,
}


def make_foundation(path: Path, heads: tuple[str, ...] = ("default",), **changes: object) -> Path:
    """A file as foundation models are: plain mace, one head, more elements, its own energies."""
    interaction = mace_modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    torch.manual_seed(11)
    with numerics("float32", CPU):
        arguments = {
            "r_max": 4.4,
            "num_bessel": 7,
            "num_polynomial_cutoff": 6,
            "max_ell": 2,
            "interaction_cls": interaction,
            "interaction_cls_first": interaction,
            "num_interactions": 2,
            "num_elements": len(ELEMENTS),
            "hidden_irreps": o3.Irreps("6x0e+6x1o"),
            "MLP_irreps": o3.Irreps("5x0e"),
            "atomic_energies": np.linspace(-9, -1, len(ELEMENTS)),
            "avg_num_neighbors": 17.0,
            "atomic_numbers": ELEMENTS,
            "correlation": 3,
            "gate": torch.nn.functional.silu,
            "radial_MLP": [16, 16, 16],
            "heads": list(heads),
            "atomic_inter_scale": 0.83,
            "atomic_inter_shift": 0.21,
        }
        model = mace_modules.ScaleShiftMACE(**{**arguments, **changes})
    torch.save(model, path)
    trust(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def own_trust_list(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="module")
def foundation(tmp_path_factory) -> Path:
    return make_foundation(tmp_path_factory.mktemp("foundation") / "small.model")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, foundation, train_data, valid_data, settings_of) -> Path:
    """Trained with so small a rate that no weight moves: what the start is."""
    path = tmp_path_factory.mktemp("start") / "m"
    settings = settings_of(foundation=str(foundation), steps=1, validate_every=1, learning_rate=1e-300, **ARCHITECTURE)
    train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, path)
    return path


def learned(model: torch.nn.Module, frame, charge: int = 0) -> tuple[float, np.ndarray]:
    """Energy without atomic energies, and forces, of a plain foundation model."""
    from defectscape.model.dataset import Graphs, collate

    elements = tuple(int(z) for z in model.atomic_numbers)
    with numerics("float64", CPU):
        graph = Graphs(elements, ("default",), float(model.r_max)).frame(frame, "default")
        out = model.double()(collate([graph], CPU).to_dict())
    return out["interaction_energy"].item(), out["forces"].detach().numpy()


def test_at_the_start_it_is_the_foundation_for_every_charge_and_head(foundation, untouched, frame_of) -> None:
    model = torch.load(foundation, weights_only=False)
    committee = Committee.load([untouched])
    assert committee.card.product_basis == "full"
    for charge in (-2, 0, 1):
        frame = frame_of(80, charge)
        energy, forces = learned(model, frame)
        assert np.abs(forces).max() > 1e-3
        for fidelity in FIDELITIES:
            point = committee.evaluate(frame, fidelity)
            ours = point.energy_eV - committee.reference_eV(frame.numbers, charge, fidelity)
            assert ours == pytest.approx(energy, abs=1e-5)
            np.testing.assert_allclose(point.forces_eV_A, forces, atol=1e-5)


def test_products_of_a_reduced_basis_are_the_file_s(train_data, valid_data, settings_of, frame_of, tmp_path) -> None:
    # The file's word is the other one: mace writes it where it could not do as it says, too.
    with built_with("reduced"):
        path = make_foundation(tmp_path / "reduced.model", use_reduced_cg=False)
    model = torch.load(path, weights_only=False)
    with torch.no_grad():
        # Another basis of the same functions, as other programs make it.
        for product in model.products:
            for each in product.symmetric_contractions.contractions:
                for tensor in (each.U_matrix_2, each.U_matrix_3, each.weights_max, each.weights[0]):
                    tensor.neg_()
    torch.save(model, path)
    trust(path)
    settings = settings_of(foundation=str(path), steps=1, validate_every=1, learning_rate=1e-300, **ARCHITECTURE)
    train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")
    committee = Committee.load([tmp_path / "m"])
    assert committee.card.product_basis == "reduced"
    frame = frame_of(81, 1)
    energy, forces = learned(model, frame)
    point = committee.evaluate(frame, "high")
    ours = point.energy_eV - committee.reference_eV(frame.numbers, 1, "high")
    assert ours == pytest.approx(energy, abs=1e-5)
    np.testing.assert_allclose(point.forces_eV_A, forces, atol=1e-5)


def test_references_are_ours_and_the_scale_is_the_foundation_s(untouched, train_data) -> None:
    network = load_network(untouched)
    assert network.normalisation == pytest.approx((17.0, 0.83))
    frame = train_data[0].frame
    for fidelity, expected in (("low", -3000), ("high", -3121.5)):
        reference = network.references.energy_eV(frame.numbers, frame.charge, fidelity)
        assert reference == pytest.approx(expected - 11 * frame.charge, abs=30)
    block = network.atomic_energies_fn.atomic_energies
    assert torch.equal(block, network.element_reference_eV.to(block.dtype))


def test_gradients_reach_the_embedding_and_training_uses_it(
    foundation, train_data, valid_data, settings_of, tmp_path
) -> None:
    settings = settings_of(foundation=str(foundation), steps=40, validate_every=20, dtype="float32", **ARCHITECTURE)
    history = train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")
    network = load_network(tmp_path / "m")
    assert network.joint_embedding.project[0].weight.abs().max() > 1e-3
    committee = Committee.load([tmp_path / "m"])
    frame = train_data[0].frame
    forces = [committee.evaluate(frame.recharged(q, origin=frame.origin), "high").forces_eV_A for q in (-2, 1)]
    assert np.abs(forces[0] - forces[1]).max() > 1e-2
    assert history.validations[-1].score < history.validations[0].score


@pytest.mark.parametrize("strategy", ["fidelity_embedding", "pretrain_finetune", "delta"])
def test_other_strategies_start_from_it_too(
    foundation, train_data, valid_data, settings_of, tmp_path, strategy
) -> None:
    settings = settings_of(
        foundation=str(foundation),
        strategy=strategy,
        steps=1,
        validate_every=1,
        learning_rate=1e-300,
        **ARCHITECTURE,
    )
    train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")
    network = load_network(tmp_path / "m")
    part = network.low if strategy == "delta" else network
    assert part.normalisation == pytest.approx((17.0, 0.83))
    frame = train_data[0].frame
    energy, forces = learned(torch.load(foundation, weights_only=False), frame)
    head = part.card.fidelities[-1]
    point = Committee((part,)).evaluate(frame, head)
    reference = part.references.energy_eV(frame.numbers, frame.charge, head)
    assert point.energy_eV - reference == pytest.approx(energy, abs=1e-5)
    np.testing.assert_allclose(point.forces_eV_A, forces, atol=1e-5)


def test_another_architecture_is_refused_with_the_file_s(
    foundation, train_data, valid_data, settings_of, tmp_path
) -> None:
    assert foundation_architecture(foundation) == pytest.approx(ARCHITECTURE, rel=1e-6)
    settings = settings_of(foundation=str(foundation), steps=1)
    with pytest.raises(ModelError, match=r"asks for channels: 6, correlation: 3, r_max_A: 4\.4"):
        train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")


def test_what_is_no_foundation_is_refused(train_data, valid_data, settings_of, model_paths, tmp_path) -> None:
    def train(path: Path, **changes: object) -> None:
        settings = settings_of(foundation=str(path), steps=1, **{**ARCHITECTURE, **changes})
        train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, tmp_path / "m")

    with pytest.raises(ModelError, match="No such file"):
        train(tmp_path / "absent.model")
    trust(model_paths[0])
    with pytest.raises(ModelError, match="holds ChargedMACE"):
        train(model_paths[0])
    with pytest.raises(ModelError, match="a, b"):
        train(make_foundation(tmp_path / "two.model", ("a", "b")))
    few = {"atomic_numbers": [34, 48, 51], "num_elements": 3, "atomic_energies": np.zeros(3)}
    with pytest.raises(ModelError, match="atomic number: 52"):
        train(make_foundation(tmp_path / "few.model", **few))


# Model files from others: what is read is rebuilt from plain values, and nothing in it is run.


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("strategy", ["heads", "high_only", "pretrain_finetune", "delta", "fidelity_embedding"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rebuilt_network_gives_the_same_bits(
    strategy, dtype, train_data, valid_data, settings_of, frame_of, tmp_path
) -> None:
    path = tmp_path / "m.model"
    settings = settings_of(strategy=strategy, steps=4, validate_every=2, dtype=dtype)
    train_member(train_data, valid_data, FIDELITIES, settings, 3, 0, path)
    whole = torch.load(path, weights_only=False)
    rebuilt = load_network(path)
    assert weights_digest(rebuilt) == weights_digest(whole)
    assert rebuilt.card == whole.card
    for charge in (-2, 0, 1):
        frame = frame_of(90 + charge, charge)
        first, second = (Committee((network,)).evaluate(frame, "high") for network in (whole, rebuilt))
        assert first.energy_eV == second.energy_eV
        assert (first.forces_eV_A == second.forces_eV_A).all()


def test_reading_never_runs_the_file(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = tmp_path / "m.model"
    torch.save(Trap(mark), weights_path(path))
    torch.save(Trap(mark), path)
    with pytest.raises(ModelError):
        load_network(path)
    assert not mark.exists()
    # The trap works: this is what mace's own way of reading would have done.
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()


def test_a_foundation_file_is_read_after_consent_only(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    mark, path = tmp_path / "ran", tmp_path / "foundation.model"
    torch.save(Trap(mark), path)
    with pytest.raises(ModelError, match="defectscape trust"):
        foundation_architecture(path)
    assert not mark.exists()


def test_what_a_network_is_not_made_of_is_refused(model_paths, tmp_path: Path) -> None:
    plain = read_tensors(weights_path(model_paths[0]))
    for name, value in (
        ("gate", {"gate": "os.system"}),
        ("interaction_cls", {"block": "Popen"}),
        ("r_max", {"irreps": "nonsense"}),
        ("hidden_irreps", {"eval": "1"}),
    ):
        broken = {**plain, "architecture": {**plain["architecture"], name: value}}
        with pytest.raises(ModelError, match="damaged"):
            rebuild(broken)
    with pytest.raises(ModelError, match="format 99"):
        rebuild({**plain, "format": 99})
    write_file(weights_path(tmp_path / "list.model"), [1, 2])
    with pytest.raises(ModelError, match="list"):
        load_network(tmp_path / "list.model")


def test_a_card_of_an_earlier_version_says_that_the_network_sees_the_charge(model_paths) -> None:
    plain = read_tensors(weights_path(model_paths[0]))

    def earlier(sees: bool) -> dict:
        return {**plain, "card": {**plain["card"], "charge_embedding": sees}}

    assert rebuild(earlier(True)).card == rebuild(plain).card
    with pytest.raises(ModelError, match="does not see the charge"):
        rebuild(earlier(False))


def test_a_copy_of_a_copy_is_the_same(model_paths, tmp_path: Path) -> None:
    network = load_network(model_paths[0])
    save_network(network, tmp_path / "again.model")
    again = load_network(tmp_path / "again.model")
    assert blueprint(again).keys() == blueprint(network).keys()
    assert weights_digest(again) == weights_digest(network)
