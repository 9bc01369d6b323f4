"""Which of a repository's files are fetched: each network once, in one format and one precision."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_FORMATS = ("safetensors", "bin", "pth", "pt", "ckpt", "msgpack", "h5", "onnx", "gguf")
"""The formats of weights, the preferred one first."""
_VARIANT = r"(?:\.(?P<{}>fp16|bf16|fp32|non_ema))?"
# Large ONNX networks have their weights in a second file, `.onnx_data`.
_FORMAT = rf"\.(?P<format>{'|'.join(_FORMATS)})(?:_data)?"
_WEIGHTS = re.compile(
    rf"(?P<stem>.+?){_VARIANT.format('early')}(?:-\d{{5}}-of-\d{{5}})?{_VARIANT.format('late')}{_FORMAT}"
)
_INDEX = re.compile(
    rf"(?P<stem>.+?){_VARIANT.format('early')}{_FORMAT}\.index{_VARIANT.format('late')}\.json"
)
_PIPELINE = "model_index.json"


class _Weights(NamedTuple):
    """What the name of a file of weights, or of the index of its shards, tells."""

    folder: str
    stem: str
    variant: str
    form: str


def one_of_each(names: Iterable[str], variant: str = "") -> list[str]:
    """Return the names of files to fetch, sorted, out of those that a card's patterns allow.

    names: paths in the repository. variant: the precision to take, such as `fp16`, where a network has it;
    "": the one without a name, and any other only where that is missing. Of the formats of one folder only
    the first of `_FORMATS` is kept. A pipeline, which has a `model_index.json`, is its folders: weights beside
    that file hold the same networks once more. Files that hold no weights are all kept.
    """
    weights: dict[str, _Weights] = {}
    others = []
    for name in set(names):
        if (found := _weights(name)) is None:
            others.append(name)
        else:
            weights[name] = found
    if _PIPELINE in others:
        weights = {name: one for name, one in weights.items() if one.folder}
    kept = [name for name, one in weights.items() if one == _best(one, weights.values(), variant)]
    return sorted([*others, *kept])


def _best(one: _Weights, listed: Iterable[_Weights], variant: str) -> _Weights:
    """Return the format and precision in which the network of a file is fetched."""
    beside = [other for other in listed if other.folder == one.folder]
    form = min((other.form for other in beside), key=_FORMATS.index)
    found = {other.variant for other in beside if (other.stem, other.form) == (one.stem, form)}
    chosen = next((each for each in (variant, "") if each in found), min(found, default=""))
    return one._replace(form=form, variant=chosen)


def _weights(name: str) -> _Weights | None:
    """Return what a name tells; None if the file holds no weights."""
    folder, _, file = name.rpartition("/")
    found = _INDEX.fullmatch(file) or _WEIGHTS.fullmatch(file)
    if found is None:
        return None
    return _Weights(folder, found["stem"], found["early"] or found["late"] or "", found["format"])
