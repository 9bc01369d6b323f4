"""Which file of a result a caller gets who asks for one with Accept, decided before any work."""

from collections.abc import Sequence
from typing import Any

from server.errors import NotAcceptableError
from server.http.accept import FILE_TYPES, HEADER, Accept
from server.http.result_files import REQUEST_ID, SEED, SID, VISUAL_ID, WARNING, ResultFile
from server.http.uploads import Encoded
from server.jobs.job import Job, JobOutcome
from server.jobs.picture_files import result_extension
from server.operation import Operation, RequestBody

_EXTENSIONS = {media_type: extension for extension, media_type in FILE_TYPES.items()}
_OUTPUT_TYPE = "output_type"
"""The field of the operations whose body says the format of the result."""


def for_operation(accept: Accept | None, operation: Operation[Any]) -> Accept | None:
    """Return what decides about the file of a request; None: JSON is answered.

    Raises NotAcceptableError if neither a file of this operation nor JSON is accepted.
    """
    if (
        accept is None
        or accept.best([FILE_TYPES[one] for one in operation.file_extensions]) is None
    ):
        return None
    return accept


def for_body(accept: Accept | None, operation: Operation[Any], body: RequestBody) -> Accept | None:
    """Return the same once the fields are known: a file holds one result.

    Raises NotAcceptableError if there are several and JSON is not accepted.
    """
    count = operation.count(body)
    if accept is None or count == 1:
        return accept
    if accept.takes_json:
        return None
    raise NotAcceptableError(
        f"This request makes {count} results, and {HEADER} asks for one file: ask for one result"
        " (num_results is 1), or accept application/json, which has a link to each.",
        HEADER,
    )


def chosen(
    accept: Accept | None,
    operation: Operation[Any],
    body: RequestBody,
    image: Encoded | None,
    result_format: str | None,
) -> tuple[RequestBody, str | None]:
    """Return the body that makes the file a caller likes best, and its extension; None: JSON is answered.

    A picture is made in the format that is asked for, as far as it can hold the result; of equals, in the
    format that it has without Accept. image: the input picture. result_format: of the settings. Raises
    NotAcceptableError if neither the possible formats nor JSON are accepted.
    """
    if accept is None:
        return body, None
    bodies = _bodies(operation, body)
    usual = [result_extension(result_format, operation, one, image) for one in bodies]
    further = [
        result_extension(extension, operation, body, image)
        for extension in operation.file_extensions
    ]
    found = dict.fromkeys([*usual, *(further if len(bodies) == 1 else ())])
    liked = accept.best([FILE_TYPES[extension] for extension in found])
    if liked is None:
        return body, None
    extension = _EXTENSIONS[liked]
    if len(bodies) > 1:
        body = bodies[usual.index(extension)]
    return body.model_copy(update={"sync": True}), extension


def _bodies(operation: Operation[Any], body: RequestBody) -> Sequence[RequestBody]:
    """Return the bodies with each format that the caller leaves open, the usual one first."""
    asked = operation.extension_of(body)
    if asked is None or _OUTPUT_TYPE in body.model_fields_set:
        return [body]
    others = (one for one in operation.file_extensions if one != asked)
    return [body, *(body.model_copy(update={_OUTPUT_TYPE: one}) for one in others)]


def result_file(job: Job, outcome: JobOutcome, size: int, link: str) -> ResultFile:
    """Return the file of a finished job with one result. size: in bytes. link: to the same file."""
    extension = job.keys[0].rpartition(".")[2]
    told = {
        "Content-Disposition": f'inline; filename="{job.operation.name}.{extension}"',
        "Content-Location": link,
        REQUEST_ID: job.request_id,
        SEED: getattr(outcome.body, "seed", None),
        SID: job.sid,
        VISUAL_ID: job.visual_id if job.operation.registers else None,
        WARNING: outcome.body.warning,
    }
    headers = {
        name: str(value).encode("ascii", "backslashreplace").decode()
        for name, value in told.items()
        if value not in (None, "")
    }
    return ResultFile(job.keys[0], size, headers)
