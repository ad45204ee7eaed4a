"""Model files from others: what is read is rebuilt from plain values, and nothing in it is run."""

import pickle
from pathlib import Path

import pytest
import torch

from defectscape.domain.errors import ModelError
from defectscape.model.backend import read_tensors, write_file
from defectscape.model.blueprint import blueprint, rebuild
from defectscape.model.committee import Committee
from defectscape.model.foundation import foundation_architecture
from defectscape.model.saving import load_network, save_network, weights_path
from defectscape.model.training import train_member
from defectscape.model.weights import weights_digest

FIDELITIES = ("low", "high")


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
