"""Weight files that are missing, broken or of another model: the error names the file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.backends.torch.checkpoints import load_strictly, read_state, read_torchscript
from models.errors import BadWeightsError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is missing"),
        (b"", "is empty"),
        (POINTER, "Git LFS pointer"),
        (b"not weights at all", "cannot be read"),
    ],
)
def test_a_file_without_weights_is_refused(
    tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadWeightsError, match=why) as refused:
        read_state(file)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    state = {"weight": torch.ones(64, 64)}
    if name.endswith("pth"):
        torch.save(state, file)
    else:
        save_file(state, file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(BadWeightsError, match="cannot be read") as refused:
        read_state(file)
    assert str(file) in str(refused.value)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    file = tmp_path / "model.pth"
    torch.save({"weight": Trap()}, file)
    with pytest.raises(BadWeightsError):
        read_state(file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bias": None}, "bias is missing"),
        ({"more": torch.zeros(1)}, "more is unknown"),
        ({"weight": torch.zeros(2, 9)}, r"weight is \(2, 9\) instead of \(2, 3\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    change: dict[str, torch.Tensor | None], why: str
) -> None:
    state = {**nn.Linear(3, 2).state_dict(), **change}
    tensors = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(BadWeightsError, match=why) as refused:
        load_strictly(nn.Linear(3, 2), tensors, Path("x.safetensors"))
    assert "x.safetensors" in str(refused.value)


def test_weights_in_half_precision_are_cast_to_the_type_of_the_module() -> None:
    state = {name: value.half() for name, value in nn.Linear(3, 2).state_dict().items()}
    module = nn.Linear(3, 2)
    load_strictly(module, state, Path("x.safetensors"))
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, state["weight"].float())


def test_an_invalid_torchscript_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save({"weight": torch.ones(1)}, file)
    with pytest.raises(BadWeightsError, match=r"model\.pt cannot be read"):
        read_torchscript(file)
