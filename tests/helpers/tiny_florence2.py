"""Tiny files with the inputs and outputs of Florence-2's ONNX export, whose answers are known.

The encoder's states hold the mean colour of the picture, then the ids of the prompt. The decoder
reads both from them, in the cached steps from the cache of the first step only, and spells the
sentence of the task and of the picture: a red one or another.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

SIDE = 32
BEGIN, END = 0, 2
FILES = (
    "florence2_vision_encoder_quantized.onnx",
    "florence2_embed_tokens_quantized.onnx",
    "florence2_encoder_model_quantized.onnx",
    "florence2_decoder_model_merged_quantized.onnx",
    "florence2_tokenizer.json",
)
_WORDS = ("A", "Ġred", "Ġcat", "Ġon", "Ġa", "Ġtable", "Ġdog", ".", "cat")
_WIDTH = 3
_OPSET = 17


def make_florence2(
    folder: Path,
    captions: tuple[Sequence[str], Sequence[str]] = (
        ("A", "Ġred", "Ġcat", "."),
        ("A", "Ġdog", "Ġon", "Ġa", "Ġtable", "."),
    ),
    objects: tuple[Sequence[str], Sequence[str]] = (("cat",), ("cat",)),
    kind: int = TensorProto.FLOAT,
) -> list[Path]:
    """Write the five files and return their paths, in the order of the card.

    captions, objects: the tokens of the answer for a red picture, and for every other one. kind: of
    the numbers between the networks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    paths = [folder / name for name in FILES]
    size = tokenizer.get_vocab_size()
    scripts = _scripts(tokenizer, (*captions, *objects))
    prompt = len(tokenizer.encode("What does the image describe?").ids)
    onnx.save(_vision(kind), paths[0])
    onnx.save(_embedding(size, kind), paths[1])
    onnx.save(_encoder(kind), paths[2])
    onnx.save(_decoder(scripts, size, prompt + 1, kind), paths[3])
    tokenizer.save(str(paths[4]))
    return paths


def make_tokenizer() -> Tokenizer:
    """Return a byte-level tokenizer with BART's special tokens, Florence's locations and few words."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word for word in _WORDS if word not in letters]
    vocabulary = {token: i for i, token in enumerate([*special, *letters, *words])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    places = [f"<loc_{i}>" for i in range(1000)]
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token in (*special, *places)]
    )
    return tokenizer


def _scripts(tokenizer: Tokenizer, answers: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the ids of answers, begin and end included, filled up with the end: answers x length."""
    longest = max(map(len, answers)) + 2
    rows = []
    for answer in answers:
        ids = [tokenizer.token_to_id(token) for token in answer]
        assert None not in ids, answer
        rows.append([BEGIN, *ids] + [END] * (longest - 1 - len(ids)))
    return np.array(rows, np.int64)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _constant(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _vision(kind: int) -> onnx.ModelProto:
    """Return a network whose only token is the mean of the picture's channels."""
    mean = helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0)
    token = helper.make_node("Unsqueeze", ["mean", "one"], ["image_features"])
    graph = helper.make_graph(
        [mean, token],
        "vision",
        [_value("pixel_values", kind, ["batch_size", 3, SIDE, SIDE])],
        [_value("image_features", kind, ["batch_size", 1, _WIDTH])],
        [_constant("one", np.array([1], np.int64))],
    )
    return _model(graph)


def _embedding(size: int, kind: int) -> onnx.ModelProto:
    """Return a network whose embedding of token t is (t, 0, 0)."""
    table = np.zeros((size, _WIDTH), helper.tensor_dtype_to_np_dtype(kind))
    table[:, 0] = np.arange(size)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["inputs_embeds"])],
        "embedding",
        [_value("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])],
        [_value("inputs_embeds", kind, ["batch_size", "sequence_length", _WIDTH])],
        [_constant("table", table)],
    )
    return _model(graph)


def _encoder(kind: int) -> onnx.ModelProto:
    """Return a network that keeps what the attention mask does not hide."""
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["shown"], to=kind),
        helper.make_node("Unsqueeze", ["shown", "last"], ["column"]),
        helper.make_node("Mul", ["inputs_embeds", "column"], ["last_hidden_state"]),
    ]
    shape = ["batch_size", "length", _WIDTH]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [
            _value("attention_mask", TensorProto.INT64, shape[:2]),
            _value("inputs_embeds", kind, shape),
        ],
        [_value("last_hidden_state", kind, shape)],
        [_constant("last", np.array([-1], np.int64))],
    )
    return _model(graph)


def _decoder(scripts: np.ndarray, size: int, shortest: int, kind: int) -> onnx.ModelProto:
    """Return a merged decoder that spells a row of `scripts`.

    Row 0 or 1 if the encoder's states have the length `shortest`, else 2 or 3; the first of the two
    if the picture is red. As in optimum's export, the branch with a cache returns no cache of the
    encoder's states.
    """
    past = ["past_key_values.0.decoder", "past_key_values.0.encoder"]
    branches = [
        _branch("first", size, kind, "encoder_hidden_states", None),
        _branch("cached", size, kind, f"{past[1]}.key", past),
    ]
    outputs = ["logits"]
    outputs += [f"present.0.{part}.{what}" for part in _PARTS for what in ("key", "value")]
    node = helper.make_node(
        "If", ["use_cache_branch"], outputs, then_branch=branches[1], else_branch=branches[0]
    )
    cache = ["batch_size", 1, "past_length", _WIDTH]
    graph = helper.make_graph(
        [node],
        "decoder",
        [
            _value("encoder_attention_mask", TensorProto.INT64, ["batch_size", "length"]),
            _value("encoder_hidden_states", kind, ["batch_size", "length", _WIDTH]),
            _value("inputs_embeds", kind, ["batch_size", "new", _WIDTH]),
            *(_value(f"{name}.{what}", kind, cache) for name in past for what in ("key", "value")),
            _value("use_cache_branch", TensorProto.BOOL, [1]),
        ],
        [
            _value("logits", kind, ["batch_size", "new", size]),
            *(_value(name, kind, ["batch_size", 1, "any", _WIDTH]) for name in outputs[1:]),
        ],
        [
            _constant("scripts", scripts),
            _constant("shortest", np.array(shortest, np.int64)),
            _constant("last_place", np.array(scripts.shape[1] - 1, np.int64)),
            _constant("zero", np.array(0, np.int64)),
            _constant("one", np.array(1, np.int64)),
            _constant("two", np.array(2, np.int64)),
            _constant("axis1", np.array([1], np.int64)),
            _constant("first3", np.zeros(3, np.int64)),
            _constant("first4", np.zeros(4, np.int64)),
            _constant("depth", np.array([size], np.int64)),
            _constant("levels", np.array([0, 20], helper.tensor_dtype_to_np_dtype(kind))),
        ],
    )
    return _model(graph)


_PARTS = ("decoder", "encoder")


def _caches(
    name: str, own: list[str], past: list[str] | None
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return what makes a branch's caches `own`, with its constants. past: None without a cache."""
    if past is None:
        nodes = [
            helper.make_node("Identity", [f"{name}_new"], [own[0]]),
            helper.make_node("Identity", [f"{name}_new"], [own[1]]),
            helper.make_node("Unsqueeze", ["encoder_hidden_states", "axis1"], [own[2]]),
            helper.make_node("Identity", [own[2]], [own[3]]),
        ]
        return nodes, []
    nodes = [
        helper.make_node("Concat", [f"{past[0]}.key", f"{name}_new"], [own[0]], axis=2),
        helper.make_node("Concat", [f"{past[0]}.value", f"{name}_new"], [own[1]], axis=2),
        helper.make_node("Slice", [f"{past[1]}.key", "axis0", "axis0", "axis2"], [own[2]]),
        helper.make_node("Identity", [own[2]], [own[3]]),
        helper.make_node("Shape", [f"{past[0]}.key"], [f"{name}_past_shape"]),
        helper.make_node("Gather", [f"{name}_past_shape", "two"], [f"{name}_past_length"]),
        # A sequence that is longer than its script goes on with the end.
        helper.make_node("Min", [f"{name}_past_length", "last_place"], [f"{name}_position"]),
    ]
    return nodes, [
        _constant("axis0", np.array([0], np.int64)),
        _constant("axis2", np.array([2], np.int64)),
    ]


def _branch(
    name: str, size: int, kind: int, states: str, past: list[str] | None
) -> onnx.GraphProto:
    """Return one branch. states: where it reads the encoder's states. past: None without a cache."""
    own = [f"{name}_{output}" for output in ("logits", "dk", "dv", "ek", "ev")]

    def local(text: str) -> str:
        return f"{name}_{text}"

    nodes = [helper.make_node("Unsqueeze", ["inputs_embeds", "axis1"], [local("new")])]
    caches, constants = _caches(name, own[1:], past)
    nodes += caches
    length_of, position, corner, axis = (
        ("encoder_hidden_states", "zero", "first3", "one")
        if past is None
        else (states, local("position"), "first4", "two")
    )
    kind_of = helper.tensor_dtype_to_np_dtype(kind)
    nodes += [
        helper.make_node("GatherND", [states, corner], [local("red")]),
        helper.make_node("Greater", [local("red"), local("nothing")], [local("is_red")]),
        helper.make_node("Where", [local("is_red"), "zero", "one"], [local("colour")]),
        helper.make_node("Shape", [length_of], [local("states_shape")]),
        helper.make_node("Gather", [local("states_shape"), axis], [local("length")]),
        helper.make_node("Equal", [local("length"), "shortest"], [local("is_caption")]),
        helper.make_node("Where", [local("is_caption"), "zero", "two"], [local("task")]),
        helper.make_node("Add", [local("task"), local("colour")], [local("row")]),
        helper.make_node("Gather", ["scripts", local("row")], [local("script")]),
        helper.make_node("Gather", [local("script"), position], [local("next")]),
        helper.make_node("Shape", ["inputs_embeds"], [local("embeds_shape")]),
        helper.make_node(
            "Slice", [local("embeds_shape"), local("s0"), local("s2")], [local("rows")]
        ),
        helper.make_node("Expand", [local("next"), local("rows")], [local("indices")]),
        helper.make_node("OneHot", [local("indices"), "depth", "levels"], [own[0]], axis=-1),
    ]
    shape = ["batch_size", 1, None, _WIDTH]
    outputs = [_value(own[0], kind, ["batch_size", "new", size])]
    outputs += [_value(output, kind, shape) for output in own[1:]]
    constants += [
        _constant(local("nothing"), np.array(0, kind_of)),
        _constant(local("s0"), np.array([0], np.int64)),
        _constant(local("s2"), np.array([2], np.int64)),
    ]
    return helper.make_graph(nodes, name, [], outputs, constants)
