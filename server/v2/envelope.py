"""The answers of v2: a result with the id of its request, or where to ask for it."""

from functools import cache
from typing import Any

from pydantic import BaseModel, Field, create_model
from starlette.responses import JSONResponse

from server.operation import Operation

STATUS_PATH = "/v2/status/"
EXAMPLE_REQUEST_ID = "9f4c1f6f6f0e4d0b8a1f5f1d1c2b3a49"
_WARNING = Field(
    None, description="Fields of the request that this server cannot follow; absent without any."
)
_REQUEST_ID = Field(description="The id of the request.", examples=[EXAMPLE_REQUEST_ID])


class Accepted(BaseModel):
    """The answer to an asynchronous request."""

    request_id: str = _REQUEST_ID
    status_url: str = Field(
        description="Address of the request's state.",
        examples=[f"http://127.0.0.1:8000{STATUS_PATH}{EXAMPLE_REQUEST_ID}"],
    )
    warning: str | None = _WARNING


def accepted(base_url: str, request_id: str, warning: str | None) -> JSONResponse:
    """Return 202 with the address of a request's state. base_url: the start of that address."""
    status_url = f"{base_url}{STATUS_PATH}{request_id}"
    answer = Accepted(request_id=request_id, status_url=status_url, warning=warning)
    return JSONResponse(answer.model_dump(exclude_none=True), 202)


def finished(result: BaseModel, request_id: str, warning: str | None) -> JSONResponse:
    """Return 200 with the result of a request."""
    answer = {"result": result.model_dump(mode="json"), "request_id": request_id}
    return JSONResponse(answer if warning is None else answer | {"warning": warning})


def responses(operation: Operation[Any]) -> dict[int | str, dict[str, Any]]:
    """Return the successful answers of an operation of v2, for the OpenAPI document."""
    later = {"model": Accepted, "description": "Accepted: the status service tells the result."}
    if operation.is_always_asynchronous:
        return {202: later}
    answer = {"model": _answer(operation.response), "description": "With sync=true: the result."}
    return {200: answer, 202: later}


@cache
def _answer(result: type[BaseModel]) -> type[BaseModel]:
    """Return the answer that contains a result, of which the OpenAPI document needs only one."""
    return create_model(
        f"{result.__name__}Answer",
        result=(result, ...),
        request_id=(str, _REQUEST_ID),
        warning=(str | None, _WARNING),
    )
