"""The answers of v2: a result with the id of its request, or where to ask for it."""

from typing import Any

from pydantic import BaseModel, Field, create_model
from starlette.responses import JSONResponse

from server.operation import Operation

STATUS_PATH = "/v2/status/"
EXAMPLE_REQUEST_ID = "9f4c1f6f6f0e4d0b8a1f5f1d1c2b3a49"
_REQUEST_ID = Field(description="The id of the request.", examples=[EXAMPLE_REQUEST_ID])


class Accepted(BaseModel):
    """The answer to an asynchronous request."""

    request_id: str = _REQUEST_ID
    status_url: str = Field(
        description="Address of the request's state.",
        examples=[f"http://127.0.0.1:8000{STATUS_PATH}{EXAMPLE_REQUEST_ID}"],
    )


def accepted(base_url: str, request_id: str) -> JSONResponse:
    """Return 202 with the address of a request's state. base_url: the start of that address."""
    answer = Accepted(request_id=request_id, status_url=f"{base_url}{STATUS_PATH}{request_id}")
    return JSONResponse(answer.model_dump(), 202)


def finished(result: BaseModel, request_id: str) -> JSONResponse:
    """Return 200 with the result of a request."""
    return JSONResponse({"result": result.model_dump(mode="json"), "request_id": request_id})


def responses(operation: Operation[Any]) -> dict[int | str, dict[str, Any]]:
    """Return the successful answers of an operation of v2, for the OpenAPI document."""
    result = operation.response
    answer = create_model(
        f"{result.__name__}Answer", result=(result, ...), request_id=(str, _REQUEST_ID)
    )
    return {
        200: {"model": answer, "description": "With sync=true: the result."},
        202: {"model": Accepted, "description": "Accepted: the status service tells the result."},
    }
