"""Exports a Florence-2 of transformers to the ONNX files of the hub, in optimum's form. Needs torch."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.models.florence2 import modeling_florence2

_PARTS = [(part, what) for part in ("decoder", "encoder") for what in ("key", "value")]


class _Traced(torch.nn.Module):
    """A function of a model, as a module, so that the model's weights become initializers."""

    def __init__(self, model: Any, function: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def export_florence2(model: Any, paths: Sequence[Path], traced_side: int) -> None:
    """Write the vision encoder, the embedding, the encoder and the merged decoder.

    The vision encoder is traced at `traced_side` pixels, and with the publisher's own formula of the
    attention between channels, which makes its scale a constant of the file.
    """
    model.requires_grad_(False)
    text = model.model.language_model
    width = text.config.d_model

    def write(file: Path, function: Any, inputs: dict[str, Any], outputs: list[str]) -> None:
        axes = {name: {i: f"{name}{i}" for i in _free(name)} for name in (*inputs, *outputs)}
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Traced(model, function).eval(),
                tuple(inputs.values()),
                str(file),
                input_names=list(inputs),
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=17,
                dynamo=False,
            )

    def encode(embeds: Any, mask: Any) -> Any:
        return text.encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state

    vision, embedding, encoder, decoder = paths
    own = modeling_florence2.Florence2VisionChannelAttention.forward
    modeling_florence2.Florence2VisionChannelAttention.forward = _published_attention
    try:
        pixels = {"pixel_values": torch.rand(1, 3, traced_side, traced_side)}
        write(vision, lambda x: model.get_image_features(x).pooler_output, pixels, ["features"])
    finally:
        modeling_florence2.Florence2VisionChannelAttention.forward = own
    ids = {"input_ids": torch.zeros(1, 4, dtype=torch.long)}
    write(embedding, text.shared, ids, ["inputs_embeds"])
    states, mask = torch.rand(2, 9, width), torch.ones(2, 9, dtype=torch.long)
    both = {"inputs_embeds": states, "attention_mask": mask}
    write(encoder, encode, both, ["last_hidden_state"])
    _write_decoder(decoder, model, write, states, mask)


def _free(name: str) -> tuple[int, ...]:
    """Return the sides of an input or output that are not fixed."""
    if name == "pixel_values":
        return (0, 2, 3)
    return (0, 2) if "." in name else (0, 1)


def _published_attention(self: Any, states: Any) -> Any:
    """The attention between channels in Microsoft's code: the root is taken of a Python number."""
    batch, tokens, width = states.shape
    split = self.qkv(states).reshape(batch, tokens, 3, self.groups, width // self.groups)
    query, key, value = split.permute(2, 0, 3, 4, 1).unbind(0)
    shares = (query * float(tokens) ** -0.5 @ key.transpose(-1, -2)).softmax(-1)
    return self.proj((shares @ value).permute(0, 3, 1, 2).reshape(batch, tokens, width))


def _write_decoder(file: Path, model: Any, write: Any, states: Any, mask: Any) -> None:
    """Write the decoder without and with a cache, then both as branches of one file."""
    text = model.model.language_model
    layers, heads = text.config.decoder_layers, text.config.decoder_attention_heads
    names = [f"{i}.{part}.{what}" for i in range(layers) for part, what in _PARTS]
    width = states.shape[-1]

    def run(embeds: Any, states: Any, mask: Any, cache: Any, parts: int) -> tuple[Any, ...]:
        found = text.decoder(
            inputs_embeds=embeds,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            cache=cache,
            use_cache=True,
        )
        outputs = [model.lm_head(found.last_hidden_state)]
        for i in range(layers):
            for held in (found.cache.self_attention_cache, found.cache.cross_attention_cache)[
                :parts
            ]:
                outputs += [held.layers[i].keys, held.layers[i].values]
        return tuple(outputs)

    def first(mask: Any, states: Any, embeds: Any) -> Any:
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        return run(embeds, states, mask, cache, 2)

    def later(mask: Any, embeds: Any, *past: Any) -> Any:
        own, cross = DynamicCache(), DynamicCache()
        for i in range(layers):
            own.update(past[4 * i], past[4 * i + 1], i)
            cross.update(past[4 * i + 2], past[4 * i + 3], i)
        cache = EncoderDecoderCache(own, cross)
        cache.is_updated.update(dict.fromkeys(range(layers), True))
        unused = torch.zeros(embeds.shape[0], past[2].shape[2], width)
        return run(embeds, unused, mask, cache, 1)

    inputs = {"encoder_attention_mask": mask, "encoder_hidden_states": states}
    inputs["inputs_embeds"] = torch.rand(2, 3, width)
    parts = [file.with_suffix(".first"), file.with_suffix(".later")]
    write(parts[0], first, inputs, ["logits", *(f"present.{name}" for name in names)])
    past = {
        f"past_key_values.{name}": torch.rand(
            2, heads, 5 if "decoder" in name else 9, width // heads
        )
        for name in names
    }
    again = {"encoder_attention_mask": mask, "inputs_embeds": torch.rand(2, 1, width), **past}
    own = [f"present.{name}" for name in names if "decoder" in name]
    write(parts[1], later, again, ["logits", *own])
    _merge(file, parts, ["logits", *(f"present.{name}" for name in names)], heads, width // heads)


def _merge(file: Path, parts: Sequence[Path], outputs: list[str], heads: int, width: int) -> None:
    """Write two decoders as the branches of one; the one with a cache returns none of the encoder's."""
    models = [onnx.load(part) for part in parts]
    inputs = {one.name: one for model in models for one in model.graph.input}
    flag = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    first, later = (
        _branch(model.graph, prefix, outputs, set(inputs), heads, width)
        for model, prefix in zip(models, ("first_", "later_"), strict=True)
    )
    node = helper.make_node(
        "If", ["use_cache_branch"], outputs, then_branch=later, else_branch=first
    )
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph([node], "merged", [*inputs.values(), flag], shapes)
    opset, version = models[0].opset_import, models[0].ir_version
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=version), file)


def _branch(
    graph: Any, prefix: str, outputs: list[str], outer: set[str], heads: int, width: int
) -> onnx.GraphProto:
    """Return a graph as a branch: without inputs, and with names of its own."""

    def renamed(name: str) -> str:
        return name if not name or name in outer else prefix + name

    returned = {one.name for one in graph.output}
    for node in graph.node:
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)
    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)
    for name in set(outputs) - returned:
        nothing = helper.make_tensor(name, TensorProto.FLOAT, [0, heads, 1, width], [])
        graph.node.append(helper.make_node("Constant", [], [renamed(name)], value=nothing))
    values = [
        helper.make_tensor_value_info(renamed(one), TensorProto.FLOAT, None) for one in outputs
    ]
    return helper.make_graph(graph.node, prefix, [], values, graph.initializer)
