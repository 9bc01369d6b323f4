"""Execute the work of an accepted request, from encoded pictures to stored results."""

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from imaging.picture import Picture
from models.errors import RoleNotInProfileError
from models.roles import MODERATION, Models, Role, require
from models.runtime.running_requests import needing
from models.stages import Stage, stage
from pipelines.common.moderation import is_blocked
from server.durations import Durations
from server.errors import BlockedError, NotStoredError, Refusals, UnavailableError, map_errors
from server.http.uploads import Encoded
from server.jobs.job import FinishedWork, Job, JobOutcome, result_keys
from server.jobs.picture_files import DecodedMasks, decode_picture_field, encode_result
from server.jobs.waiting import QuickModels, too_slow
from server.operation import Inputs, RequestBody, Results, VisualQuery
from server.profiles import not_in_profile
from server.storage_limits import StorageLimits
from server.visuals import Visuals, no_visual
from storage.errors import DatabaseUnavailableError, StoreSilentError
from storage.object_store import ObjectStore, content_type_of
from storage.records import EditSession, Visual

log = logging.getLogger("retouch")


class JobExecutor:
    """Executes jobs and queries on the thread of the caller.

    threshold: moderation blocks a picture with this score, 0..1, or a higher one. profile: as in the
    setting PROFILE. durations: gets the duration of each job. slow: of
    `server.jobs.waiting.slow_roles`. limits: counts what is stored.
    """

    def __init__(
        self,
        models: Models,
        results: ObjectStore,
        visuals: Visuals,
        threshold: float,
        profile: str,
        durations: Durations,
        slow: Mapping[str, float],
        limits: StorageLimits,
    ) -> None:
        self._models = models
        self._quick_models = QuickModels(models, slow) if slow else models
        self._slow = slow
        self._results = results
        self._visuals = visuals
        self._threshold = threshold
        self._profile = profile
        self._durations = durations
        self._limits = limits

    def perform(self, job: Job) -> FinishedWork:
        """Do the work of a job: decode, validate, edit and encode; `store` is what remains.

        Raises ApiError, and BlockedError if moderation blocks all results.
        """
        start = time.monotonic()
        if job.visual_id:  # it may have been removed while the job waited
            self._visuals.find(job.organisation, job.visual_id)
        with self._map_errors(job.operation.refusals, job.body.sync):
            inputs = self._inputs(job)
            needed = self._needed_roles(job, inputs)
            with needing(self._models, needed):
                body = self._prepare(job, inputs, needed)
                # With the encoding, a stage within this one: some results are composed when they are read.
                with stage(Stage.COMPOSE):
                    results = job.operation.perform(body, inputs, self._models_for(job))
                    del inputs  # their memory is free while the results are encoded
                    if not isinstance(results, Results):
                        results = Results(results)
                    keys = result_keys(job, len(results.files))
                    unsafe, files = self._finished(job, results.files, keys)
            blocked = [job.body.moderates_output and one for one in unsafe]
            if blocked and all(blocked):
                raise BlockedError("Content moderation refused the result.", "result")
        seconds = time.monotonic() - start
        self._durations.record(job.operation.name, seconds)
        log.debug("%s took %.3f s", job.operation.name, seconds)
        outcome = JobOutcome(body, blocked, unsafe, keys, results.details)
        return FinishedWork(replace(job, body=body, keys=keys), files, outcome)

    def store(self, work: FinishedWork) -> JobOutcome:
        """Store the results of finished work; it needs no worker, and may be repeated.

        A blocked result is stored as an empty object, so that a caller who polls its link learns it.
        Raises NotStoredError while the store or the database does not answer, UnavailableError, and
        NotFoundError if the job's visual is removed before the results are stored.
        """
        with stage(Stage.STORE):
            self._store_results(work.job, work.files)
        return work.outcome

    def store_blocked(self, job: Job) -> None:
        """Store an empty object for each result: moderation blocked all; raises as `store` does."""
        self._store_results(replace(job, sid=""), [b""] * len(job.keys))

    def record_refusal(self, organisation: str, visual_id: str, keys: Sequence[str]) -> bool:
        """Record the keys of a failed job; False if its visual was removed: then store no error.

        visual_id: empty for a job without a visual.
        """
        sizes = [0] * len(keys)
        if visual_id:
            return self._visuals.add_results(organisation, visual_id, keys, sizes)
        self._limits.count(organisation, sizes)
        return True

    def finish_stored(self, job: Job) -> JobOutcome:
        """Finish a job whose results are stored already.

        Raises NotFoundError if the job's visual was removed; then the results are removed too.
        """
        if not self._record_results(job):
            self._remove_results(job)
            raise no_visual(job.visual_id)
        infos = [self._results.stat(key) for key in job.keys]
        blocked = [info is None or info.size == 0 for info in infos]
        return JobOutcome(job.body, blocked, blocked, job.keys)

    def _record_results(self, job: Job, sizes: Sequence[int] = ()) -> bool:
        """Record a job's results and its session; it is safe to repeat. False if its visual was removed.

        sizes: of the results in bytes, if they are not known yet.
        """
        if not job.visual_id:
            return True
        edit = None
        if job.sid:
            changed = (*job.changed, *job.operation.changes(job.body))
            edit = EditSession(job.sid, job.visual_id, job.keys[0], changed)
        return self._visuals.add_results(job.organisation, job.visual_id, job.keys, sizes, edit)

    def _store_results(self, job: Job, files: Sequence[bytes]) -> None:
        """Record and store all results, or none; raises as `store` does."""
        try:
            # The records first: if they fail, no result that a caller may have read is removed.
            sizes = [*map(len, files)]
            is_recorded = self._record_results(job, sizes)
            if is_recorded:
                for key, file in zip(job.keys, files, strict=True):
                    self._results.put(key, file, content_type_of(key))
            # A removal deletes the results that are recorded; it cannot delete one stored later.
            if not is_recorded or self._is_removed(job):
                self._remove_results(job)
                raise no_visual(job.visual_id)
            if (
                not job.visual_id
            ):  # at the end: while the store is away, this is tried again and again
                self._limits.count(job.organisation, sizes)
        except OSError as error:
            log.error("a result could not be stored: %s", error)
            self._remove_results(job)
            is_outage = isinstance(error, StoreSilentError | DatabaseUnavailableError)
            kind = NotStoredError if is_outage else UnavailableError
            raise kind("The result could not be stored.") from error

    def _is_removed(self, job: Job) -> bool:
        """Whether the visual of a job's recorded results was removed."""
        return bool(job.visual_id) and not self._visuals.has_result(job.organisation, job.keys[0])

    def _remove_results(self, job: Job) -> None:
        """Remove the stored results of a job that failed; the sweep removes what this cannot."""
        try:
            for key in job.keys:
                self._results.delete(key)
            if job.visual_id:
                self._visuals.remove_results(job.organisation, job.keys, job.sid)
        except OSError as error:
            log.error("the results of a failed job stay until the sweep: %s", error)

    def check(self, job: Job) -> Job:
        """Validate what needs the decoded pictures: damage, moderation, and the operation's own checks.

        Returns the job with the values filled in that depend on the picture. Raises ApiError.
        """
        with self._map_errors(job.operation.refusals, job.body.sync):
            inputs = self._inputs(job)
            body = self._prepare(job, inputs, self._needed_roles(job, inputs))
            for name in inputs.masks:  # each is decoded, and refused if it is wrong
                inputs.masks[name]
            return replace(job, body=body)

    def check_picture(self, encoded: Encoded) -> None:
        """Raise ApiError if a picture cannot be decoded."""
        with map_errors():
            decode_picture_field(encoded)

    def query(self, query: VisualQuery, visual: Visual) -> Any:
        """Return the answer to a query about a visual."""
        image = decode_picture_field(self._visuals.picture(visual))
        owner = (visual.organisation, visual.visual_id)
        labels = partial(self._visuals.labels, *owner, self._models, is_admitted=False)
        with self._map_errors():
            inputs = Inputs({"image": image}, {}, visual.visual_id, labels)
            return query.answer(inputs, self._models)

    @contextmanager
    def _map_errors(
        self, refusals: Refusals = MappingProxyType({}), waits: bool = False
    ) -> Iterator[None]:
        """Turn errors of lower layers into an ApiError, which names the profile if that lacks a role.

        waits: whether the caller waits for the results, so that slow models are out of the question.
        """
        with map_errors(refusals):
            try:
                yield
            except RoleNotInProfileError as error:
                role = str(error)
                if waits and role in self._slow:
                    raise too_slow(role, self._slow[role]) from error
                raise not_in_profile(self._profile, role) from error

    def _models_for(self, job: Job) -> Models:
        """Return the models that a job may use: none of the slow ones while its caller waits."""
        return self._quick_models if job.body.sync else self._models

    def _prepare(self, job: Job, inputs: Inputs, needed: Collection[Role[Any]]) -> RequestBody:
        """Return the body with what its operation prepares.

        Raises BlockedError, and RoleNotInProfileError if the profile lacks a role that the job needs.
        """
        models = self._models_for(job)
        for role in needed:
            require(models, role)
        if job.body.moderates_input:
            self._refuse_blocked_inputs(job, inputs)
        prepared: RequestBody = job.operation.prepare(job.body, inputs, models)
        return prepared

    def _needed_roles(self, job: Job, inputs: Inputs) -> Collection[Role[Any]]:
        needed = [*job.operation.required_roles(job.body, inputs, self._models_for(job))]
        if job.body.moderates_input or job.body.moderates_output:
            needed.append(MODERATION)
        return needed

    def _refuse_blocked_inputs(self, job: Job, inputs: Inputs) -> None:
        # Masks are decoded one by one.
        masks = ((name, Picture(np.dstack([grey] * 3))) for name, grey in inputs.masks.items())
        for name, picture in chain(inputs.pictures.items(), masks):
            if self._is_unsafe(picture, job.body.input_threshold):
                sent_as = job.pictures[name].sent_as
                raise BlockedError(f"Content moderation refused the picture in {sent_as}.", sent_as)

    def _inputs(self, job: Job) -> Inputs:
        pictures = {n: decode_picture_field(e) for n, e in job.pictures.items() if not e.is_mask}
        sent = {name: encoded for name, encoded in job.pictures.items() if encoded.is_mask}
        masks = DecodedMasks(sent, pictures["image"]) if sent else {}
        if not job.visual_id:
            return Inputs(pictures, masks)
        labels = partial(self._visuals.labels, job.organisation, job.visual_id, self._models)
        original = partial(self._original, job.organisation, job.visual_id)
        changed = frozenset(job.changed)
        return Inputs(pictures, masks, job.visual_id, labels, original, changed)

    def _original(self, organisation: str, visual_id: str) -> Picture:
        visual = self._visuals.find(organisation, visual_id)
        return decode_picture_field(self._visuals.picture(visual))

    def _finished(
        self, job: Job, results: Sequence[Picture | bytes], keys: Sequence[str]
    ) -> tuple[list[bool], list[bytes]]:
        """Return which results are unsafe, and each as a file, empty if moderation blocks it.

        Each is read once, since some are composed when they are read. One picture several times in a row
        is scored and encoded once.
        """
        scores = self._scores(job)
        unsafe: list[bool] = []
        files: list[bytes] = []
        previous: Picture | bytes | None = None
        for result, key in zip(results, keys, strict=True):
            if result is previous:
                unsafe.append(unsafe[-1])
                files.append(files[-1])
                continue
            previous = result
            unsafe.append(scores and self._is_unsafe(result, job.body.output_threshold))
            is_blocked_result = job.body.moderates_output and unsafe[-1]
            files.append(b"" if is_blocked_result else encode_result(result, key))
        return unsafe, files

    def _scores(self, job: Job) -> bool:
        """Whether a job's results are scored: to block them, or to tell a caller who waits for them."""
        tells = job.operation.scores_results and job.body.sync and self._models.offers(MODERATION)
        return job.body.moderates_output or tells

    def _is_unsafe(self, result: Picture | bytes, threshold: float | None) -> bool:
        """Whether a picture scores the threshold or more; files that are not pictures are not scored.

        threshold: 0..1; None: that of the settings.
        """
        if not isinstance(result, Picture):
            return False
        return is_blocked(result, self._models, self._threshold if threshold is None else threshold)
