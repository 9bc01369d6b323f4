"""A matting network of the user's own: its table in a profile, its check at the start, and its matte."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.catalog.profile import load_profile
from models.catalog.source import Hub, WeightFile
from models.errors import UnknownProfileError, WeightsUnavailableError
from models.roles import INPAINTING, MATTING
from models.runtime.pool import Pool

COMMIT, SHA256 = "0" * 40, "f" * 64
SIDE = 64
TABLE = 'role = "matting"\npath = "net.onnx"\n'
EXACT = "mean = [0, 0, 0]\nstd = [1, 1, 1]\n"


def network(
    file: Path, shape: tuple[int | str, ...] = (1, 3, SIDE, SIDE), kind: int = TensorProto.FLOAT
) -> None:
    """Write a network whose outputs are the mean of the channels, `grey`, and the opposite, `negative`."""
    matte = [1, 1, *shape[2:]]
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Neg", ["grey"], ["negative"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("picture", kind, shape)],
        [
            helper.make_tensor_value_info("grey", kind, matte),
            helper.make_tensor_value_info("negative", kind, matte),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)


def write(folder: Path, table: str, head: str = "") -> str:
    """Write a profile with the table of the card `mine`; return its path."""
    file = folder / "profile.toml"
    file.write_text(f'{head}matting = "mine"\n[cards.mine]\n{table}')
    return str(file)


def pool(folder: Path, table: str) -> Pool:
    """Return the pool of a profile with the card `mine`, after its checks at the start."""
    return Pool.for_profile(write(folder, table), folder / "weights")


def matte_of_halves(model_pool: Pool) -> tuple[int, int]:
    """Return the matte on the black and on the white half of a picture of the network's size."""
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[:, SIDE // 2 :] = 255
    with model_pool.use(MATTING) as matting:
        alpha = matting.matte(rgb)
    assert alpha.shape == (SIDE, SIDE)
    return int(alpha[SIDE // 2, 2]), int(alpha[SIDE // 2, -3])


@pytest.mark.parametrize(
    ("shape", "more", "expected"),
    [
        ((1, 3, SIDE, SIDE), EXACT, (0, 255)),
        (("n", 3, "h", "w"), EXACT + f"size = {SIDE}", (0, 255)),
        ((1, 3, SIDE, SIDE), EXACT + "sigmoid = true", (128, 186)),
        ((1, 3, SIDE, SIDE), EXACT + 'output = "negative"', (0, 0)),
        ((1, 3, SIDE, SIDE), EXACT + 'output = "negative"\nsigmoid = true', (128, 69)),
        ((1, 3, SIDE, SIDE), "mean = [0.5, 0.5, 0.5]\nstd = [1.0, 1.0, 1.0]", (0, 128)),
        ((1, 3, SIDE, SIDE), "mean = [0, 0, 0]\nstd = [2, 2, 2]", (0, 128)),
    ],
)
def test_the_matte_follows_the_table(
    tmp_path: Path, shape: tuple[int | str, ...], more: str, expected: tuple[int, int]
) -> None:
    network(tmp_path / "net.onnx", shape)
    assert matte_of_halves(pool(tmp_path, TABLE + more)) == pytest.approx(expected, abs=1)


def test_the_default_input_is_that_of_imagenet(tmp_path: Path) -> None:
    network(tmp_path / "net.onnx")
    imagenet = "mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nsigmoid = true"
    given = matte_of_halves(pool(tmp_path, TABLE + imagenet))
    assert matte_of_halves(pool(tmp_path, TABLE + "sigmoid = true")) == given


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"mine: .*net\.onnx: missing"),
        (b"", r"net\.onnx cannot be loaded"),
        (b"not a network", r"net\.onnx cannot be loaded"),
        ((1, 3, SIDE), r"net\.onnx takes .*\[1, 3, 64\], which is no picture"),
        ((1, 4, SIDE, SIDE), "which is no picture.* 1 x 3 x side x side"),
        ((1, SIDE, SIDE, 3), "which is no picture"),
        ((2, 3, SIDE, SIDE), "which is no picture"),
        ((1, 3, SIDE, 2 * SIDE), "which is no picture"),
    ],
)
def test_a_file_that_cannot_be_the_network_stops_the_start_and_is_named(
    tmp_path: Path, content: bytes | tuple[int, ...] | None, reason: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "net.onnx").write_bytes(content)
    elif content is not None:
        network(tmp_path / "net.onnx", content)
    with pytest.raises(WeightsUnavailableError, match=reason):
        pool(tmp_path, TABLE)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('output = "alpha"', "has no output 'alpha'; there are: grey, negative"),
        ("size = 128", "takes pictures of 64 pixels, not 128"),
    ],
)
def test_a_table_that_does_not_fit_the_file_stops_the_start(
    tmp_path: Path, more: str, reason: str
) -> None:
    network(tmp_path / "net.onnx")
    with pytest.raises(WeightsUnavailableError, match=reason):
        pool(tmp_path, TABLE + more)


def test_an_output_that_is_no_matte_stops_the_start(tmp_path: Path) -> None:
    node = helper.make_node("ReduceMean", ["picture"], ["score"], axes=[1, 2, 3], keepdims=0)
    graph = helper.make_graph(
        [node],
        "score",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "net.onnx")
    with pytest.raises(
        WeightsUnavailableError, match=r"returns the shape \(1,\), which is no matte"
    ):
        pool(tmp_path, TABLE)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('role = "inpainting"\npath = "x"', r"\[cards\.mine\]: role must be 'matting'"),
        ('role = "matting"', "needs either path, or all of repo"),
        (TABLE + 'repo = "a/b"', "needs either path"),
        (f'role = "matting"\nrepo = "a/b"\nrevision = "{COMMIT}"\nfile = "x.onnx"', "sha256"),
        (TABLE + "side = 64", "side is not a key"),
        (TABLE + "size = 31", "size must be a whole number from 32 to 4096"),
        (TABLE + 'size = "320"', "size must be"),
        (TABLE + "mean = [0.5, 0.5]", "mean must be three numbers"),
        (TABLE + "mean = [nan, 0, 0]", "mean must be three numbers"),
        (TABLE + "std = [0, 1, 1]", "std must be three numbers above 0"),
        (TABLE + "sigmoid = 1", "sigmoid must be true or false"),
        (TABLE + 'output = ""', "output must be"),
    ],
)
def test_a_wrong_table_is_refused_and_the_key_is_named(
    tmp_path: Path, table: str, reason: str
) -> None:
    with pytest.raises(UnknownProfileError, match=reason) as caught:
        load_profile(write(tmp_path, table))
    assert str(tmp_path / "profile.toml") in str(caught.value)


@pytest.mark.parametrize("file", ["../x.onnx", "/x.onnx", "a/../x.onnx", "x.bin"])
def test_a_file_outside_the_repository_is_refused(tmp_path: Path, file: str) -> None:
    table = f'role = "matting"\nrepo = "a/b"\nrevision = "{COMMIT}"\nsha256 = "{SHA256}"\n'
    with pytest.raises(UnknownProfileError, match="must be the path of an"):
        load_profile(write(tmp_path, f'{table}file = "{file}"'))


def test_the_name_of_a_known_card_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "profile.toml"
    file.write_text(f'matting = "u2netp"\n[cards.u2netp]\n{TABLE}')
    with pytest.raises(UnknownProfileError, match=r"\[cards\.u2netp\]: the name is taken"):
        load_profile(str(file))


def test_a_file_of_a_repository_is_fetched_at_a_commit_with_its_checksum(tmp_path: Path) -> None:
    table = f"""role = "matting"
repo = "me/my-matting"
revision = "{COMMIT}"
file = "onnx/model.onnx"
sha256 = "{SHA256}"
"""
    profile = load_profile(write(tmp_path, table, 'base = "lite"\n'))
    assert profile[INPAINTING] == load_profile("lite")[INPAINTING]
    source = Hub("me/my-matting", COMMIT, "onnx/model.onnx")
    assert profile[MATTING].parts == (
        WeightFile("me--my-matting--onnx--model.onnx", SHA256, None, (source,)),
    )
