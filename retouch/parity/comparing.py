"""The differences between what two servers answer to one request of `retouch parity`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from retouch.parity.observing import HEADERS, Observation, ResultFile
from retouch.parity.pictures import Look, PixelDifference, look, pixel_difference
from retouch.parity.plan import Case

NONE = "none"
_PRESENCE_ALONE = frozenset({"retry-after", "location"})
"""Headers whose value is another at each server."""


@dataclass(frozen=True)
class Difference:
    """One difference. texts: what each server has. is_contract: whether status or shape differ."""

    what: str
    texts: tuple[str, str]
    is_contract: bool = False


@dataclass(frozen=True)
class ResultPair:
    """One result of each server, None where it has none. pixels: None if they are not pictures of one size."""

    files: tuple[ResultFile | None, ResultFile | None]
    looks: tuple[Look | None, Look | None]
    pixels: PixelDifference | None

    def light(self) -> "ResultPair":
        """Return the same without the content of the files."""
        files = tuple(one and replace(one, content=b"") for one in self.files)
        looks = tuple(one and replace(one, picture=None) for one in self.looks)
        return ResultPair((files[0], files[1]), (looks[0], looks[1]), self.pixels)


@dataclass(frozen=True)
class Comparison:
    """One request, what both servers answered, and how that differs."""

    case: Case
    observations: tuple[Observation, Observation]
    pairs: tuple[ResultPair, ...]
    differences: tuple[Difference, ...]

    @property
    def is_compared(self) -> bool:
        """Whether both servers answered."""
        return all(one.problem is None for one in self.observations)

    @property
    def breaks_contract(self) -> bool:
        """Whether a difference is one of the contract."""
        return any(one.is_contract for one in self.differences)

    def light(self) -> "Comparison":
        """Return the same without files and decoded pictures."""
        first, second = (replace(one, results=()) for one in self.observations)
        pairs = tuple(pair.light() for pair in self.pairs)
        return replace(self, observations=(first, second), pairs=pairs)


def compare(case: Case, first: Observation, second: Observation) -> Comparison:
    """Return the comparison of what two servers answered to one request, with the decoded results."""
    pairs = tuple(_pair(one, other) for one, other in zip_longest(first.results, second.results))
    found = [*_contract(first, second), *_count(first, second)]
    for number, pair in enumerate(pairs):
        found += _files(pair, f"result {number + 1}: " if len(pairs) > 1 else "")
    return Comparison(case, (first, second), pairs, tuple(found))


def described(found: Look | None) -> str:
    """Return the size, the mode and the format of a result in words."""
    if found is None:
        return NONE
    if found.format is None:
        return f"a file of {found.bytes / 1024:.0f} KiB"
    return f"{found.width} x {found.height}, {found.mode}, {found.format}"


def _contract(first: Observation, second: Observation) -> Iterator[Difference]:
    """Yield what differs in status, fields, headers and final state."""
    if first.problem or second.problem:
        yield Difference("answer", (first.problem or "there", second.problem or "there"))
        return
    if first.status != second.status:
        yield Difference("status", (_told(first), _told(second)), is_contract=True)
        return  # the fields of a refusal are others than those of a success
    yield from _headers(first.headers, second.headers)
    yield from _fields("field", first.shape, second.shape)
    if first.state != second.state:
        yield Difference("final state", (_final(first), _final(second)), is_contract=True)
        return
    yield from _fields("field of the final state", first.state_shape, second.state_shape)


def _headers(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Difference]:
    for name in HEADERS:
        texts = (first.get(name, NONE), second.get(name, NONE))
        if name == "content-type":
            texts = (_media_type(texts[0]), _media_type(texts[1]))
        elif name in _PRESENCE_ALONE and NONE not in texts:
            continue
        if texts[0] != texts[1]:
            is_contract = name == "content-type"
            yield Difference(f"header {name}", texts, is_contract=is_contract)


def _fields(
    what: str, first: Mapping[str, list[str]], second: Mapping[str, list[str]]
) -> Iterator[Difference]:
    """Yield the fields that one alone has or whose types differ; nothing is told below such a field."""
    told: list[str] = []
    for path in sorted(first.keys() | second.keys()):
        if any(path.startswith((f"{above}.", f"{above}[")) for above in told):
            continue
        # Nothing is known of the parts of a list that is empty.
        is_part = path.endswith("[]") and path.removesuffix("[]") in first.keys() & second.keys()
        if is_part and (path not in first or path not in second):
            told.append(path)
            continue
        texts = (_types(first.get(path)), _types(second.get(path)))
        if texts[0] != texts[1] and set(texts) != {"integer", "number"}:
            told.append(path)
            yield Difference(f"{what} {path or '(the whole)'}", texts, is_contract=True)


def _count(first: Observation, second: Observation) -> Iterator[Difference]:
    counts = (str(first.result_count), str(second.result_count))
    # Where only one server succeeded, that is told already.
    if counts[0] != counts[1] and first.finished_s is not None and second.finished_s is not None:
        yield Difference("number of results", counts)


def _files(pair: ResultPair, prefix: str) -> Iterator[Difference]:
    """Yield what differs in two results, but for their pixels."""
    first, second = pair.files
    if first is None or second is None:
        return
    if first.problem or second.problem:
        texts = (first.problem or "there", second.problem or "there")
        yield Difference(f"{prefix}file", texts)
        return
    if first.content_type != second.content_type:
        texts = (first.content_type or NONE, second.content_type or NONE)
        yield Difference(f"{prefix}content type", texts)
    one, other = (_properties(each) for each in pair.looks)
    for what in one:
        if one[what] != other[what]:
            yield Difference(f"{prefix}{what}", (one[what], other[what]))


def _pair(first: ResultFile | None, second: ResultFile | None) -> ResultPair:
    looks = _look(first), _look(second)
    pictures = [each.picture if each else None for each in looks]
    pixels = None
    if pictures[0] is not None and pictures[1] is not None:
        pixels = pixel_difference(pictures[0], pictures[1])
    return ResultPair((first, second), looks, pixels)


def _look(file: ResultFile | None) -> Look | None:
    return None if file is None or file.problem else look(file.content)


def _properties(found: Look | None) -> dict[str, str]:
    if found is None or found.format is None:
        return dict.fromkeys(("format", "mode", "size"), NONE)
    size = f"{found.width} x {found.height}"
    return {"format": found.format, "mode": found.mode or NONE, "size": size}


def _types(types: list[str] | None) -> str:
    return " or ".join(types) if types else NONE


def _told(one: Observation) -> str:
    return f"{one.status}: {one.text}" if one.text else str(one.status)


def _final(one: Observation) -> str:
    state = one.state or NONE
    return f"{state}: {one.text}" if one.text else state


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
