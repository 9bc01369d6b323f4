"""Florence-2: what its networks are fed, and the sentences and objects in its answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from imaging.picture import Rgb
from models.backends.onnx.florence2 import (
    Florence2Captioning,
    Florence2Detection,
    detected_objects,
)
from models.backends.onnx.merged_decoder import MergedDecoder
from models.backends.onnx.network import Network
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import BadWeightsError, CallerDisconnectedError
from tests.helpers.tiny_florence2 import FILES, SIDE, make_florence2, make_tokenizer

CPU = DeviceConfig()
RED = np.full((50, 80, 3), (250, 10, 10), np.uint8)
BLUE = np.full((50, 80, 3), (10, 10, 250), np.uint8)
BOX = ("<loc_100>", "<loc_200>", "<loc_300>", "<loc_400>")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_florence2(tmp_path_factory.mktemp("florence2"), objects=(("cat", *BOX), ("cat",)))


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the decoder is fed, call by call."""
    calls: list[dict[str, Any]] = []
    run = Network.run

    def recorded(self: Network, inputs: Any) -> Any:
        if "use_cache_branch" in inputs:
            calls.append(dict(inputs))
        return run(self, inputs)

    monkeypatch.setattr(Network, "run", recorded)
    return calls


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_a_caption_is_what_the_decoder_spells_for_the_picture(tmp_path: Path, kind: int) -> None:
    model = Florence2Captioning.load(make_florence2(tmp_path, kind=kind), CPU)
    before = RED.copy()
    assert model.caption(RED) == "A red cat"
    assert model.caption(BLUE) == "A dog on a table"
    assert np.array_equal(RED, before)


def test_the_decoder_is_fed_one_token_at_a_time_and_its_caches(
    paths: list[Path], fed: list[dict[str, Any]]
) -> None:
    Florence2Captioning.load(paths, CPU).caption(RED)
    tokenizer = make_tokenizer()
    answer = [tokenizer.token_to_id(token) for token in ("A", "Ġred", "Ġcat", ".")]
    for step, inputs in enumerate(fed[: len(answer) + 2]):
        assert bool(inputs["use_cache_branch"][0]) == (step > 0)
        # The first sequence is the one that wins: start, begin, then the answer.
        assert inputs["inputs_embeds"].shape[1:] == (1, 3)
        assert inputs["inputs_embeds"][0, 0, 0] == [2, 0, *answer][step]
        own, cross = (
            inputs[f"past_key_values.0.{part}.{what}"]
            for part, what in (("decoder", "key"), ("encoder", "value"))
        )
        sequences = len(inputs["inputs_embeds"])
        assert sequences == (1 if step < 2 else 3)
        assert own.shape == (sequences, 1, step, 3)
        assert own[0, 0, :, 0].tolist() == [2, 0, *answer][:step]
        if step:
            assert np.array_equal(cross[:, 0], inputs["encoder_hidden_states"])
    # The picture's token, then the prompt between its begin and its end.
    states = fed[0]["encoder_hidden_states"][0]
    prompt = tokenizer.encode("What does the image describe?").ids
    assert prompt[0] == 0
    assert prompt[-1] == 2
    assert states[1:, 0].tolist() == prompt
    assert fed[0]["encoder_attention_mask"].tolist() == [[1] * (1 + len(prompt))]


def test_the_picture_is_fed_normalised_in_the_size_of_the_file(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    run = Network.run

    def recorded(self: Network, inputs: Any) -> Any:
        seen.extend(inputs[name] for name in inputs if name == "pixel_values")
        return run(self, inputs)

    monkeypatch.setattr(Network, "run", recorded)
    Florence2Captioning.load(paths, CPU).caption(RED)
    (pixels,) = seen
    assert pixels.shape == (1, 3, SIDE, SIDE)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = [(v / 255 - m) / s for v, m, s in zip((250, 10, 10), mean, std, strict=True)]
    assert np.allclose(pixels[0].reshape(3, -1), np.array(expected)[:, None], atol=1e-5)


def test_both_roles_share_the_networks(paths: list[Path]) -> None:
    captioning = Florence2Captioning.load(paths, CPU)
    detection = Florence2Detection.load(paths, CPU)
    assert captioning._model is detection._model
    other = Florence2Captioning.load(paths, DeviceConfig(threads=2))
    assert other._model is not captioning._model


def test_objects_have_names_and_boxes_in_pixels(paths: list[Path]) -> None:
    (found,) = Florence2Detection.load(paths, CPU).detect(RED)
    assert found.label == "cat"
    assert found.box == pytest.approx((80 * 0.1005, 50 * 0.2005, 80 * 0.3005, 50 * 0.4005))
    assert Florence2Detection.load(paths, CPU).detect(BLUE) == []


def test_an_answer_that_never_ends_is_cut(tmp_path: Path, fed: list[dict[str, Any]]) -> None:
    # Two words in every order, so that no three tokens repeat before the limit.
    words = ("A", "Ġred", "Ġcat", "Ġon", "Ġa", "Ġtable", "Ġdog", "cat")
    endless = [word for first in words for second in words for word in (first, second)]
    model = Florence2Captioning.load(make_florence2(tmp_path, captions=(endless, endless)), CPU)
    caption = model.caption(RED)
    assert len(fed) == 64
    assert 0 < len(caption.split()) <= 62


def test_the_deadline_is_checked_between_tokens(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Florence2Captioning.load(paths, CPU)
    deadline = Deadline()
    steps = []
    step = MergedDecoder.step

    def cancelling(self: Any, tokens: Any, parents: Any) -> Any:
        steps.append(len(tokens))
        if len(steps) == 3:
            deadline.cancel()
        return step(self, tokens, parents)

    monkeypatch.setattr(MergedDecoder, "step", cancelling)
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        model.caption(RED)
    assert len(steps) == 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1)])
def test_the_smallest_and_thinnest_pictures_are_described(
    paths: list[Path], shape: tuple[int, int]
) -> None:
    rgb: Rgb = np.zeros((*shape, 3), np.uint8)
    assert Florence2Captioning.load(paths, CPU).caption(rgb)
    assert isinstance(Florence2Detection.load(paths, CPU).detect(rgb), list)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", []),
        ("<s></s>", []),
        ("<s>cat<loc_0><loc_0><loc_499><loc_999></s>", [("cat", (0.1, 0.05, 99.9, 99.95))]),
        (
            "human face<loc_0><loc_0><loc_9><loc_9><loc_500><loc_500><loc_999><loc_999>",
            [("human face", (0.1, 0.05, 1.9, 0.95)), ("human face", (100.1, 50.05, 199.9, 99.95))],
        ),
        ("cat<loc_1><loc_2><loc_3>", []),  # cut by the limit
        ("cat<loc_1><loc_2><loc_3><loc_4><loc_5>", [("cat", (0.3, 0.25, 0.7, 0.45))]),
        ("<loc_1><loc_2><loc_3><loc_4>", []),  # no name
        ("  <loc_1><loc_2><loc_3><loc_4>", []),
        ("cat<loc_9><loc_2><loc_3><loc_4>", []),  # left of its left side
        ("cat<loc_1><loc_2><loc_1><loc_4>", []),  # no area
        ("cat<loc_1><loc_2><loc_3><loc_9999>", []),
    ],
)
def test_an_answer_becomes_objects(
    answer: str, expected: list[tuple[str, Sequence[float]]]
) -> None:
    found = detected_objects(answer, 200, 100)
    assert [one.label for one in found] == [label for label, _ in expected]
    for one, (_, box) in zip(found, expected, strict=True):
        assert one.box == pytest.approx(box)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"version https://git-lfs.github.com/spec/v1\n"])
def test_an_invalid_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    paths = make_florence2(tmp_path)
    file = tmp_path / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadWeightsError, match=name):
        Florence2Captioning.load(paths, CPU)


def test_files_in_another_order_are_named(tmp_path: Path) -> None:
    vision, embedding, encoder, decoder, tokenizer = make_florence2(tmp_path)
    with pytest.raises(BadWeightsError, match=r"vision_encoder.* has no input input_ids"):
        Florence2Captioning.load([vision, vision, encoder, decoder, tokenizer], CPU)
    with pytest.raises(BadWeightsError, match="encoder_model"):
        Florence2Captioning.load([vision, embedding, encoder, encoder, tokenizer], CPU)
