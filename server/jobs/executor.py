"""The work of one accepted request, from encoded pictures to stored results."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import DamagedPictureError
from imaging.files.decode import decode, decode_mask
from imaging.files.encode import MAX_SIDE, encode
from imaging.files.header import EXTENSIONS, Format
from imaging.picture import Picture
from models.roles import Models
from pipelines.common.moderation import is_blocked
from server.errors import BadRequestError, BlockedError, UnavailableError, translated
from server.http.uploads import Encoded
from server.operation import EditBody, Inputs, Operation, Preserve, VisualQuery
from server.visuals import Visuals
from storage.object_store import ObjectStore, content_type_of
from storage.records import EditSession, Visual

log = logging.getLogger("retouch")

_FORMATS: Mapping[str, Format] = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}


@dataclass(frozen=True)
class Job:
    """One accepted piece of work: checked fields, encoded pictures, and where each result goes.

    keys: one for each result; their extension tells the format. visual_id and sid: of a job on a
    visual, and the name under which its result can be edited further. changed: ids of the people whom
    earlier edits changed.
    """

    operation: Operation[Any]
    organisation: str
    body: EditBody
    pictures: Mapping[str, Encoded]
    keys: Sequence[str]
    visual_id: str = ""
    sid: str = ""
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobOutcome:
    """What became of a job: its body with all that was found out, and which results were blocked."""

    body: EditBody
    blocked: Sequence[bool]


class JobExecutor:
    """Does jobs; each call runs on the thread that makes it.

    thresholds: from which score on, 0..1, moderation blocks a picture.
    """

    def __init__(
        self, models: Models, results: ObjectStore, visuals: Visuals, threshold: float
    ) -> None:
        self._models = models
        self._results = results
        self._visuals = visuals
        self._threshold = threshold

    def run(self, job: Job) -> JobOutcome:
        """Decode, check, edit, encode and store.

        A blocked result is stored as no bytes at all, so that whoever polls its link is told.
        Raises ApiError, and BlockedError when moderation leaves nothing; then nothing is stored.
        """
        start = time.monotonic()
        with translated(job.operation.refusals):
            inputs, body = self._checked(job)
            results = job.operation.perform(body, inputs, self._models)
            blocked = [self._blocks(job, result) for result in results]
            if all(blocked):
                raise BlockedError("Content moderation refused the result.", "result")
            files = [
                b"" if hidden else encode_result(result, key)
                for result, hidden, key in zip(results, blocked, job.keys, strict=True)
            ]
        self._keep(replace(job, body=body), files)
        log.info("%s took %.3f s", job.operation.name, time.monotonic() - start)
        return JobOutcome(body, blocked)

    def remember(self, job: Job) -> None:
        """Note a job's result as one that further edits may start from; twice is as good as once."""
        if job.sid:
            changed = (*job.changed, *job.operation.changes(job.body))
            edit = EditSession(job.sid, job.visual_id, job.keys[0], changed)
            self._visuals.keep_result(job.organisation, edit)

    def _keep(self, job: Job, files: Sequence[bytes]) -> None:
        """Remember the job's result and store all of them, or nothing; raises UnavailableError."""
        try:
            # The name first: a result that can be read is never taken back for want of it.
            self.remember(job)
            for key, file in zip(job.keys, files, strict=True):
                self._results.put(key, file, content_type_of(key))
        except OSError as error:
            log.exception("a result could not be kept")
            self._withdraw(job)
            raise UnavailableError("The result could not be stored.") from error

    def _withdraw(self, job: Job) -> None:
        """Remove what was kept of a job that failed; what cannot be removed is swept in time."""
        try:
            for key in job.keys:
                self._results.delete(key)
            if job.sid:
                self._visuals.forget_result(job.organisation, job.sid)
        except OSError:
            log.exception("what nobody was told of stays until it is swept")

    def check(self, job: Job) -> Job:
        """Refuse what only decoding shows: damage, what moderation blocks, what cannot be worked on.

        Gives the job with what only the picture could tell filled in.
        """
        with translated(job.operation.refusals):
            return replace(job, body=self._checked(job)[1])

    def query(self, query: VisualQuery, visual: Visual) -> Any:
        """Answer a query about a visual."""
        image = decode_picture_field("image", self._visuals.picture(visual))
        labels = partial(self._visuals.labels, visual.organisation, visual.visual_id, self._models)
        with translated():
            inputs = Inputs({"image": image}, {}, visual.visual_id, labels)
            return query.answer(inputs, self._models)

    def _checked(self, job: Job) -> tuple[Inputs, EditBody]:
        inputs = self._inputs(job)
        if job.body.content_moderation:
            self._refuse_blocked(job, inputs)
        return inputs, job.operation.prepare(job.body, inputs, self._models)

    def _refuse_blocked(self, job: Job, inputs: Inputs) -> None:
        masks = {name: Picture(np.dstack([grey] * 3)) for name, grey in inputs.masks.items()}
        for name, picture in {**inputs.pictures, **masks}.items():
            if self._blocks(job, picture):
                raise BlockedError(f"Content moderation refused the {name}.", name)

    def _inputs(self, job: Job) -> Inputs:
        pictures = {
            name: decode_picture_field(name, e) for name, e in job.pictures.items() if not e.is_mask
        }
        masks = {name: decode_mask_field(name, e) for name, e in job.pictures.items() if e.is_mask}
        if not job.visual_id:
            return Inputs(pictures, masks)
        labels = partial(self._visuals.labels, job.organisation, job.visual_id, self._models)
        original = partial(self._original, job.organisation, job.visual_id)
        changed = frozenset(job.changed)
        return Inputs(pictures, masks, job.visual_id, labels, original, changed)

    def _original(self, organisation: str, visual_id: str) -> Picture:
        visual = self._visuals.find(organisation, visual_id)
        return decode_picture_field("image", self._visuals.picture(visual))

    def _blocks(self, job: Job, result: Picture | bytes) -> bool:
        return (
            job.body.content_moderation
            and isinstance(result, Picture)
            and is_blocked(result, self._models, self._threshold)
        )


def result_extension(
    chosen: str | None, operation: Operation[Any], body: EditBody, image: Encoded
) -> str:
    """Decide a result's format from the setting, from what it must keep and from its input."""
    if operation.extension is not None:
        return operation.extension
    carries_alpha = operation.keeps is Preserve.ALPHA or image.probe.alpha
    format_: Format = "PNG"
    if chosen is not None:
        format_ = _FORMATS[chosen]
    elif operation.keeps is Preserve.FORMAT:
        format_ = image.probe.format
    if format_ == "JPEG" and carries_alpha:
        format_ = "PNG"
    if operation.longest_side(body, image.probe) > MAX_SIDE[format_]:
        format_ = "PNG"
    return EXTENSIONS[format_]


def decode_picture_field(name: str, encoded: Encoded) -> Picture:
    """Decode a picture of a request; raises BadRequestError that names it."""
    try:
        return decode(encoded.data)
    except DamagedPictureError as error:
        raise BadRequestError(f"{name}: {error}", name) from error


def decode_mask_field(name: str, encoded: Encoded) -> NDArray[np.uint8]:
    """Decode a mask of a request; raises BadRequestError that names it."""
    try:
        return decode_mask(encoded.data)
    except DamagedPictureError as error:
        raise BadRequestError(f"{name}: {error}", name) from error


def encode_result(result: Picture | bytes, key: str) -> bytes:
    """Encode a result as its key's extension tells; what is no picture is encoded already."""
    if isinstance(result, bytes):
        return result
    return encode(result, _FORMATS[key.rpartition(".")[2]])
