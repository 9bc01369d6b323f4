"""The calls that an OpenAPI document allows: its operations, and cases of each by schemathesis."""

import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_BATCH = 50
"""Cases that are made at once, each batch from its own seed."""


@dataclass(frozen=True)
class Operation:
    """A method of a route of the OpenAPI document. spec: what the document says of it."""

    path: str
    method: str
    spec: Mapping[str, Any] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def key(self) -> str:
        """Its name in the tables of `tests.helpers.route_needs`."""
        return self.path.removeprefix("/v1")


@dataclass(frozen=True)
class Case:
    """The words of one call: fields of the query and of the body, without pictures."""

    query: Mapping[str, Any]
    body: Mapping[str, Any]


Source = Callable[[Operation], Iterator[Case]]
"""Returns endless cases of an operation."""


def without_pictures(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a document without the fields of bodies that take a picture, and without examples.

    They are those that it says take an address or base64: no generated text is either. Examples have
    addresses that nothing answers at.
    """
    copy: dict[str, Any] = json.loads(json.dumps(document))
    schemas: dict[str, Any] = copy["components"]["schemas"]

    def about(field: Mapping[str, Any]) -> str:
        whole = {**schemas.get(field.get("$ref", "").rpartition("/")[2], {}), **field}
        is_flag = whole.get("type") == "boolean"
        return "" if is_flag else str(whole.get("description", "")).lower()

    for methods in copy["paths"].values():
        for spec in methods.values():
            for content in spec.get("requestBody", {}).get("content", {}).values():
                content.pop("example", None)
    for schema in schemas.values():
        fields = schema.get("properties", {})
        taken = {n for n, f in fields.items() if "address" in about(f) or "base64" in about(f)}
        for name in taken:
            del fields[name]
        schema["required"] = [name for name in schema.get("required", ()) if name not in taken]
    return copy


def generated(document: dict[str, Any], part: int = 0) -> Source:
    """Return the source of the cases that schemathesis makes for a document; other ones for each part."""
    import schemathesis
    from hypothesis.errors import HypothesisDeprecationWarning

    # schemathesis chooses with `random`, which Hypothesis tells with 2 kB at each batch.
    warnings.simplefilter("ignore", HypothesisDeprecationWarning)
    schema = schemathesis.openapi.from_dict(document)
    found = {(one.path, one.method): one for one in (o.ok() for o in schema.get_all_operations())}
    return lambda operation: _examples(found[operation.path, operation.method], part)


def _examples(operation: Any, part: int) -> Iterator[Case]:
    """Yield generated cases of an operation of schemathesis whose body is JSON, without end."""
    strategy = operation.as_strategy()
    # One at first: the first call takes no words, and every operation is to be reached soon.
    first = part << 32
    yield from _batch(strategy, first, 1)
    for seed in itertools.count(first + 1):
        yield from _batch(strategy, seed, _BATCH)


def _batch(strategy: Any, seed: int, size: int) -> list[Case]:
    """Return up to `size` cases, 1 at least."""
    import hypothesis

    cases: list[Case] = []

    @hypothesis.seed(seed)  # type: ignore[untyped-decorator]
    @hypothesis.settings(  # type: ignore[untyped-decorator]
        max_examples=size,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=strategy)  # type: ignore[untyped-decorator]
    def collect(case: Any) -> None:
        if case.media_type in (None, "application/json"):
            body = case.body if isinstance(case.body, dict) else {}
            cases.append(Case(dict(case.query or {}), body))

    collect()
    return cases or [Case({}, {})]
