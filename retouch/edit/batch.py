"""Edits the pictures of a plan, a bounded number at a time; a picture that fails does not stop the others."""

import asyncio
import base64
import json
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retouch.edit.connection import Connection, EditError
from retouch.edit.operations import EditOperation
from retouch.edit.plan import PICTURES, Task, write_results

_ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/vnd.adobe.photoshop": "psd",
    "application/zip": "zip",
    "application/json": "json",
}
"""By content type: the ending of a result's name."""


@dataclass(frozen=True)
class EditRequest:
    """What is the same for all pictures.

    fields: of the route. pictures: by field, the file of a further picture, or a folder that has one for each
    picture. is_numbered: whether the operation may make several results.
    """

    operation: EditOperation
    fields: Mapping[str, str]
    pictures: Mapping[str, Path]
    is_numbered: bool


@dataclass
class Summary:
    """What became of the pictures. written: the results in files. failed: the text of each failure, by picture."""

    done: int = 0
    written: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


Report = Callable[[Task, str | None], None]
"""Called after each picture, with the text of its failure if it failed."""


async def edit_all(
    connection: Connection, request: EditRequest, tasks: Sequence[Task], jobs: int, report: Report
) -> Summary:
    """Edit pictures, `jobs` at a time, and return what became of them; raises StopError if none can be."""
    summary = Summary()
    waiting: Iterator[Task] = iter(tasks)

    async def work() -> None:
        for task in waiting:
            text = None
            try:
                summary.written += await _edit(connection, request, task)
                summary.done += 1
            except EditError as error:
                text = str(error)
            except OSError as error:
                text = error.strerror or str(error)
            if text is not None:
                summary.failed[task.label] = text
            report(task, text)

    workers = [asyncio.create_task(work()) for _ in range(max(1, min(jobs, len(tasks))))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return summary


async def _edit(connection: Connection, request: EditRequest, task: Task) -> list[Path]:
    """Edit one picture and write its results; return their paths, none for stdout."""
    fields, files = await asyncio.to_thread(_content, request, task)
    answer = await connection.send(_path(request, fields), fields, files, uuid.uuid4().hex)
    del files
    results = [await connection.read(link) for link in links_in(answer)]
    named = [(data, _ENDINGS.get(kind, "bin")) for data, kind in results]
    if not named:
        named = [(_text_of(answer), "json")]
    if task.target is None:
        if len(named) > 1:
            raise EditError(f"There are {len(named)} results; name a folder with -o.")
        await asyncio.to_thread(_print, named[0][0])
        return []
    return await asyncio.to_thread(write_results, task, named, is_numbered=request.is_numbered)


def _content(
    request: EditRequest, task: Task
) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """Return the fields and the files of a request; raises OSError, EditError."""
    fields = {"sync": "true", **request.fields}
    files = {name: _file(_matching(path, task)) for name, path in request.pictures.items()}
    operation = request.operation
    if operation.picture_field is None or (task.source is None and task.relative.name != "stdin"):
        return fields, files
    name, data = ("stdin", sys.stdin.buffer.read()) if task.source is None else _file(task.source)
    if not data:
        raise EditError("The picture is empty.")
    if operation.is_text:
        fields[operation.picture_field] = base64.b64encode(data).decode()
    else:
        files[operation.picture_field] = (name, data)
    return fields, files


def _file(path: Path) -> tuple[str, bytes]:
    return path.name, path.read_bytes()


def _matching(path: Path, task: Task) -> Path:
    """Return the file of a further picture: in a folder, that with the name of the picture to edit."""
    if not path.is_dir():
        return path
    wanted = path / task.relative.with_suffix("")
    candidates = sorted(wanted.parent.glob(f"{_escaped(wanted.name)}.*"))
    for candidate in candidates:
        if candidate.suffix.lower() in PICTURES and candidate.stem == wanted.name:
            return candidate
    raise EditError(f"{path} has no picture {task.relative.with_suffix('')}.")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _path(request: EditRequest, fields: dict[str, str]) -> str:
    """Return the path of the route, and take the fields that it holds out of `fields`."""
    operation = request.operation.operation
    path = operation.url
    for name in operation.in_path:
        path = path.replace(f"{{{name}}}", fields.pop(name))
    return path


def links_in(answer: Any) -> list[str]:
    """Return the addresses of results in an answer, in their order."""
    if isinstance(answer, str):
        is_link = answer.startswith(("http://", "https://")) and not set(answer) & set(" \n")
        return [answer] if is_link else []
    if isinstance(answer, dict):
        parts = [part for name, part in answer.items() if name != "status_url"]
    else:
        parts = answer if isinstance(answer, list) else []
    return [link for part in parts for link in links_in(part)]


def _text_of(answer: Any) -> bytes:
    """Return an answer in words as a file."""
    result = answer.get("result", answer) if isinstance(answer, dict) else answer
    return (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode()


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
