"""What the client returns and raises: the answers and the errors of v1 and of v2 in one form each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import httpx2 as httpx

_UNKNOWN_FORM = "The answer has no form of this API."
LINKS = ("image_url", "result_url", "image_res", "objects_masks")


@dataclass(eq=False)
class ApiError(Exception):
    """A request was refused, or its work failed.

    text: that of the server. code: the HTTP status, None without an answer. status: its name in v1, such as
    CONTENT_BLOCKED. parameter: the wrong field, if it is told. request_id: if the answer has one.
    """

    text: str
    code: int | None = None
    status: str | None = None
    parameter: str | None = None
    request_id: str | None = None

    def __str__(self) -> str:
        about = (self.code, self.parameter, self.request_id)
        return " ".join([self.text, *(f"[{one}]" for one in about if one)])


class FetchError(ApiError):
    """460: the server could not fetch the picture at an address."""


class ContentRefusedError(ApiError):
    """422: moderation refused a picture or a text, or the route cannot treat the picture."""


class NoAnswerError(ApiError):
    """No answer arrived: the connection was refused or broke, or the server took too long."""


class TimeLimitError(ApiError):
    """There is no result within the time limit. The work goes on: `wait` again to wait longer."""


@dataclass(frozen=True)
class Result:
    """One result. link: None if moderation blocked this one of several. id: of a mask, `sid`, or session id."""

    link: str | None
    seed: int | None = None
    id: str | None = None


@dataclass(frozen=True)
class Answer:
    """An answer. body: its JSON. is_pending: whether only `wait` tells the results (202 of v2)."""

    body: Any
    results: tuple[Result, ...] = ()
    is_pending: bool = False
    request_id: str | None = None
    warning: str | None = None

    @property
    def links(self) -> list[str]:
        """The links of the results that moderation did not block."""
        return [result.link for result in self.results if result.link]


def answer_of(body: Any, is_pending: bool = False) -> Answer:
    """Return the answer that a body tells; raises ApiError if its results have no form of this API."""
    if not isinstance(body, dict):
        return Answer(body)
    made = body.get("result")
    try:
        results = tuple(_results(made if isinstance(made, dict) else body))
    except (LookupError, TypeError, ValueError, httpx.InvalidURL) as error:
        raise ApiError(_UNKNOWN_FORM) from error
    return Answer(body, results, is_pending, body.get("request_id"), body.get("warning"))


def answer_of_state(state: Mapping[str, Any]) -> Answer | None:
    """Return the answer of a finished request of v2; None while it is in work; raises its ApiError."""
    if not isinstance(state, Mapping):
        raise ApiError(_UNKNOWN_FORM)
    if state.get("status") == "IN_PROGRESS":
        return None
    if state.get("status") == "COMPLETED":
        return answer_of(state)
    told = state.get("error")
    code = told.get("code") if isinstance(told, dict) else None
    raise error_of(code if isinstance(code, int) else 500, {**state, "status": None})


def error_of(code: int, body: Any, request_id: str | None = None) -> ApiError:
    """Return the error of a status and a body in the form of v1 or v2, or in another."""
    body = body if isinstance(body, dict) else {"error": body}
    told, status = body.get("error"), body.get("status")
    if isinstance(told, dict):
        texts = [told.get("message"), told.get("details")]
    else:
        texts = [body.get("description") or body.get("message") or told]
    text = ": ".join(dict.fromkeys(str(one) for one in texts if one)) or f"The status is {code}."
    kind = {460: FetchError, 422: ContentRefusedError}.get(code, ApiError)
    if status == "IDEMPOTENCY_KEY_REUSED":
        kind = ApiError
    return kind(text, code, status, body.get("parameter"), body.get("request_id") or request_id)


def _results(made: Mapping[str, Any]) -> Iterator[Result]:
    """Yield the results in each of the forms in which the API tells them."""
    for mask in made.get("masks") or ():
        yield Result(_link(mask["image_url"]), id=str(mask["id"]))
    if "urls" in made and "result" not in made:  # else `urls` repeats the links
        for url, seed in zip(made["urls"], made.get("seed") or repeat(None), strict=False):
            yield Result(_link(url), _whole(seed))
    for one in made.get("result") or ():
        urls, seed, name = (one["urls"], one["seed"], one["uuid"]) if isinstance(one, dict) else one
        for url in urls if isinstance(urls, list) else [urls]:
            yield Result(_link(url), _whole(seed), name)
    for key in LINKS:
        if key in made:
            yield Result(_link(made[key]), _whole(made.get("seed")), made.get("sid"))


def _link(text: Any) -> str | None:
    """Return a link; None for the words that stand where moderation blocked a result."""
    if not str(text).startswith(("http://", "https://")):
        return None
    httpx.URL(text)  # raises for one that cannot be read, as with a line end in it
    return str(text)


def _whole(seed: Any) -> int | None:
    """Return a seed, which some routes tell as text."""
    return int(seed) if str(seed).isdecimal() else None
