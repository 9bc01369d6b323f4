"""Handle requests for operations: validate them, run them on the scheduler, and answer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from models.deadline import Deadline
from models.runtime.queued_task import Priority
from models.runtime.scheduler import Scheduler
from models.stages import Stage, stage
from server.cost import decoding, estimate
from server.dependencies import Dependencies
from server.errors import map_errors
from server.http.accept import Accept, wanted_file
from server.http.admission import TurnLimit
from server.http.auth import sent_token
from server.http.fields import Fields, read_fields, validate
from server.http.processor_time import run_in_thread
from server.http.request_id import correlation_id, is_repeated, request_id
from server.http.result_files import open_file
from server.http.results import new_key
from server.http.uploads import Encoded, Intake, check_pixels
from server.jobs.durable import DurableJobs
from server.jobs.executor import JobExecutor
from server.jobs.hand_over import hand_over
from server.jobs.job import Job, JobOutcome
from server.jobs.outcome import Outcome
from server.jobs.picture_files import result_extension
from server.memory_budget import MemoryBudget
from server.operation import Delivered, Operation, RequestBody, VisualBody, VisualQuery
from server.queue_places import QueuePlaces, queue_id
from server.result_negotiation import chosen, for_body, for_operation, result_file
from server.scheduled_work import ScheduledWork, Work
from server.sent_texts import without_sent_texts
from server.short_work import query_cost
from server.v2.envelope import accepted, finished
from server.visuals import EditSource
from server.webhooks.webhook import Webhook, accept_webhook
from storage.breaker import Availability

_LOOKUPS = 4
"""Lookups of states that one organisation has at the same time; half of the threads of the job queue."""

_READS = 4
"""Registered pictures that are read for one organisation at the same time: a tenth of the threads for calls
that block, which a slow store would keep busy, and few files in memory before they have a place."""


class Endpoints:
    """The handlers of requests; an invalid request is refused before any work and stores nothing."""

    def __init__(
        self,
        dependencies: Dependencies,
        executor: JobExecutor,
        durable: DurableJobs,
        scheduler: Scheduler,
        availability: Availability,
        memory: MemoryBudget,
    ) -> None:
        self._dependencies = dependencies
        self._executor = executor
        self._durable = durable
        settings, limit = dependencies.settings, dependencies.concurrency_limit
        self.places = QueuePlaces(scheduler, durable)
        self._work = ScheduledWork(scheduler, limit, settings.request_timeout_s, self.places)
        self._availability = availability
        self._memory = memory
        self._lookups = TurnLimit(_LOOKUPS)
        self._reads = TurnLimit(_READS)

    async def serve(self, operation: Operation[Any], request: Request) -> BaseModel | Response:
        """Return the answer to a request: after the work, or at once if sync is false."""
        organisation = self._dependencies.tokens.organisation(request)
        # Before the body is read: what would be refused after all is refused at once.
        queue_id(request)
        self._availability.check("store")  # each operation stores something: do no work in vain
        await self._dependencies.concurrency_limit.check(organisation)
        accept = for_operation(wanted_file(request), operation)
        if is_repeated(request.scope):
            accepted_job = await self._find_accepted(request, organisation)
            if accepted_job is not None:
                return (await self._promise(accepted_job))[1]
        with stage(Stage.INTAKE):
            job = await self._accept(operation, request, organisation, accept)
        # No place is held up to here: the caller and the hosts of its pictures decide how long that takes.
        size = sum(len(encoded.data) for encoded in job.pictures.values())
        limit = self._dependencies.concurrency_limit
        async with limit.place(organisation, job.cost.seconds, size):
            if operation.registers:
                job = await self._register(request, job)
            job = self._with_keys(job)
            return await (
                self._perform(request, job) if job.body.sync else self._submit(request, job)
            )

    async def _perform(self, request: Request, job: Job) -> BaseModel | Response:
        """Do a job with sync=true and return its answer."""
        deadline = Deadline(self._dependencies.settings.request_timeout_s)
        perform = Work(partial(self._executor.perform, job), job.organisation, job.cost)
        work = await self._work.run(request, perform, deadline)
        outcome = await hand_over(self._executor, work, self._availability, request, deadline)
        links = await run_in_thread(self._links, job, outcome)
        if job.file_extension is None:
            return _answer(job, outcome, links)
        file = result_file(job, outcome, len(work.files[0]), str(links[0]))
        del work  # the caller may read slowly, and the store has the file
        return await open_file(self._dependencies.delivery.store, file)

    async def _submit(self, request: Request, job: Job) -> BaseModel | Response:
        """Queue a job with sync=false after its checks, and return its answer."""
        self._durable.check(job.organisation)
        job = await self._work.run(request, self._check(job))
        # The answer first: if its links cannot be signed, the job is not accepted.
        job, answer = await self._promise(job)
        await run_in_thread(self._durable.submit, job, queue_id(request))
        return answer

    def _check(self, job: Job) -> Work[Job]:
        """Return the check of a job as work for the scheduler."""
        check = partial(self._executor.check, job)
        return Work(check, job.organisation, decoding(job.pictures), Priority.CHECK)

    async def _find_accepted(self, request: Request, organisation: str) -> Job | None:
        """Return the job that an earlier call of a request left, whose process died before it answered."""
        known_id = request_id(request.scope)
        return await run_in_thread(self._durable.accepted, organisation, known_id)

    async def _promise(self, job: Job) -> tuple[Job, BaseModel | Response]:
        """Return a job with sync=false, with what it needs to know of its answer, and that answer."""
        if job.operation.version == "v2":
            return job, accepted(job.base_url, job.request_id, job.body.warning)
        unknown = [False] * len(job.keys)
        outcome = JobOutcome(job.body, unknown, unknown, job.keys)
        links: Sequence[str | None] = job.links
        if not links:
            links = await run_in_thread(self._links, job, outcome)
        if job.body.webhook_url is not None:  # it tells the same links
            job = replace(job, links=tuple(map(str, links)))
        return job, _answer(job, outcome, links)

    def _links(self, job: Job, outcome: JobOutcome) -> list[str | None]:
        """Return the links; runs in a thread, because a store may request credentials to sign them."""
        return [
            None if is_blocked else self._dependencies.delivery.sign(job.base_url, key)
            for key, is_blocked in zip(outcome.keys, outcome.blocked, strict=True)
        ]

    async def find(self, organisation: str, request_id: str) -> Outcome | None:
        """Return the outcome of an organisation's request, or that it is in progress; None if unknown."""
        async with self._lookups.of(organisation):
            return await run_in_thread(self._durable.find, organisation, request_id)

    async def check_picture(self, request: Request, organisation: str, encoded: Encoded) -> None:
        """Raise ApiError if a picture of a request cannot be decoded, although its header is valid."""
        check = partial(self._executor.check_picture, encoded)
        cost = decoding({"image": encoded})
        await self._work.run(request, Work(check, organisation, cost, Priority.CHECK))

    async def query(self, query: VisualQuery, request: Request, visual_id: str) -> Any:
        """Return the answer to a query about a visual."""
        organisation = self._dependencies.tokens.organisation(request)
        queue_id(request)
        await self._dependencies.concurrency_limit.check(organisation)
        visual = await run_in_thread(self._dependencies.visuals.find, organisation, visual_id)
        cost = query_cost(visual)
        self._memory.check(cost.memory)
        work = Work(partial(self._executor.query, query, visual), organisation, cost)
        async with self._dependencies.concurrency_limit.place(organisation, cost.seconds):
            return await self._work.run(request, work)

    async def _accept(
        self,
        operation: Operation[Any],
        request: Request,
        organisation: str,
        accept: Accept | None,
    ) -> Job:
        """Return a request's job, still without keys, after all checks that need no decoded pixels.

        accept: what decides about the file that the caller asks for; None for JSON.
        """
        await run_in_thread(self._dependencies.storage.admit, organisation)
        fields = await read_fields(request, self._dependencies.settings.max_body_mb * 2**20)
        body = validate(operation.body, fields | request.path_params)
        if operation.is_always_asynchronous:
            body = body.model_copy(update={"sync": False})
        accept = for_body(accept, operation, body)
        webhook = self._webhook(request, body)
        visual_id = request.path_params.get("visual_id", "")
        source = None
        if operation.of_visual:
            async with self._reads.of(organisation):
                source = await run_in_thread(self._find_source, organisation, visual_id, body)
        intake = self._dependencies.intake.for_organisation(organisation)
        pictures = await _sent_pictures(operation, body, fields, intake)
        if source is not None:
            # The last: a slow host of another picture would keep its file in memory before it has a place.
            async with self._reads.of(organisation):
                picture = await run_in_thread(self._read_source, source)
            pictures = {"image": picture, **pictures}
        with map_errors(operation.refusals):
            operation.check(body, pictures)
        result_format = self._dependencies.settings.result_format
        body, file_extension = chosen(accept, operation, body, pictures.get("image"), result_format)
        cost = estimate(operation, body, pictures)
        self._memory.check(cost.memory)
        return Job(
            operation,
            organisation,
            without_sent_texts(body),
            pictures,
            (),
            visual_id,
            changed=source.changed if source else (),
            request_id=request_id(request.scope),
            correlation_id=correlation_id(request.scope),
            base_url=self._dependencies.delivery.base_url(request),
            webhook=None if file_extension else webhook,
            cost=cost,
            file_extension=file_extension,
        )

    def _with_keys(self, job: Job) -> Job:
        """Return a job with the keys of its results and, if further edits may follow, its session id."""
        operation, body = job.operation, job.body
        result_format = self._dependencies.settings.result_format
        extension = job.file_extension or result_extension(
            result_format, operation, body, job.pictures.get("image")
        )
        name = operation.result_name(job.visual_id)
        keys = [
            new_key(job.organisation, extension, job.request_id, number, name)
            for number in range(operation.count(body))
        ]
        sid = self._dependencies.visuals.new_sid() if operation.makes_sid else ""
        return replace(job, keys=keys, sid=sid)

    def _webhook(self, request: Request, body: RequestBody) -> Webhook | None:
        if body.sync or body.webhook_url is None:
            return None
        settings = self._dependencies.settings
        return accept_webhook(
            body.webhook_url,
            sent_token(request),
            settings.allowed_url_networks,
            has_proxy=settings.fetch_proxy is not None,
        )

    def _find_source(self, organisation: str, visual_id: str, body: RequestBody) -> EditSource:
        sid = body.sid if isinstance(body, VisualBody) else None
        max_bytes = self._dependencies.intake.max_bytes
        return self._dependencies.visuals.find_source(organisation, visual_id, sid, max_bytes)

    def _read_source(self, source: EditSource) -> Encoded:
        picture = self._dependencies.visuals.read_source(source)
        if source.edit is not None:
            check_pixels("sid", picture.probe, self._dependencies.settings.max_pixels)
        return picture

    async def _register(self, request: Request, job: Job) -> Job:
        """Register a job's picture as a visual, after the checks that need its pixels."""
        job = await self._work.run(request, self._check(job))
        visual_id, _ = await run_in_thread(
            self._dependencies.visuals.register, job.organisation, job.pictures["image"]
        )
        return replace(job, visual_id=visual_id)


async def _sent_pictures(
    operation: Operation[Any], body: RequestBody, fields: Fields, intake: Intake
) -> dict[str, Encoded]:
    """Return the pictures that a request brings, by the names of their rules."""
    pictures: dict[str, Encoded] = {}
    for rule in operation.pictures:
        if (picture := await intake.picture(fields, rule)) is not None:
            pictures[rule.name] = picture
    return {**pictures, **await operation.gather(body, intake)}


def _answer(job: Job, outcome: JobOutcome, links: Sequence[str | None]) -> BaseModel | Response:
    """Return the answer with the results of a job, which need not exist yet."""
    delivered = Delivered(links, outcome.keys, job.sid, outcome.unsafe, outcome.details)
    answer = job.operation.respond(outcome.body, delivered)
    if job.operation.version == "v1":
        return answer
    return finished(answer, job.request_id, job.body.warning)
