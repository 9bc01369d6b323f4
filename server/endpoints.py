"""Where requests for operations are checked, run and answered."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, SchedulerClosedError
from models.runtime.scheduler import Priority, Scheduler
from server.dependencies import Dependencies
from server.errors import ShuttingDownError, translated
from server.http.fields import read_fields, validate
from server.http.results import new_key
from server.http.uploads import Encoded
from server.jobs.durable import DurableJobs
from server.jobs.executor import Job, JobExecutor, JobOutcome, result_extension
from server.operation import Delivered, EditBody, Operation, VisualBody, VisualQuery

R = TypeVar("R")


class Endpoints:
    """Takes requests; every refusal comes before any work, and leaves nothing behind."""

    def __init__(
        self,
        dependencies: Dependencies,
        executor: JobExecutor,
        durable: DurableJobs,
        scheduler: Scheduler,
    ) -> None:
        self._dependencies = dependencies
        self._executor = executor
        self._durable = durable
        self._scheduler = scheduler

    async def serve(self, operation: Operation[Any], request: Request) -> BaseModel:
        """Answer one request: with the results, or at once with their links when sync is false."""
        organisation = self._dependencies.tokens.organisation(request)
        async with self._dependencies.concurrency_limit:
            job = await self._accept(operation, request, organisation)
            if job.body.sync:
                done = await self._run(request, partial(self._executor.run, job))
                links = await anyio.to_thread.run_sync(self._links, request, job, done)
            else:
                job = await self._run(request, partial(self._executor.check, job), Priority.CHECK)
                done = JobOutcome(job.body, [False] * len(job.keys))
                # The links first: a job is not accepted whose links cannot be told.
                links = await anyio.to_thread.run_sync(self._links, request, job, done)
                await anyio.to_thread.run_sync(self._durable.submit, job)
        return operation.respond(done.body, Delivered(links, job.keys, job.sid))

    def _links(self, request: Request, job: Job, done: JobOutcome) -> list[str | None]:
        """Return the links; on a thread, since a store may have to ask for credentials to sign them with."""
        return [
            None if hidden else self._dependencies.delivery.link(request, key)
            for key, hidden in zip(job.keys, done.blocked, strict=True)
        ]

    async def query(self, query: VisualQuery, request: Request, visual_id: str) -> Any:
        """Answer a query about a visual."""
        organisation = self._dependencies.tokens.organisation(request)
        async with self._dependencies.concurrency_limit:
            visual = await anyio.to_thread.run_sync(
                self._dependencies.visuals.find, organisation, visual_id
            )
            return await self._run(request, partial(self._executor.query, query, visual))

    async def _accept(self, operation: Operation[Any], request: Request, organisation: str) -> Job:
        """Check everything that can be checked without decoding a pixel."""
        fields = await read_fields(request, self._dependencies.settings.max_body_mb * 2**20)
        body = validate(operation.body, fields)
        visual_id = request.path_params.get("visual_id", "")
        pictures: dict[str, Encoded] = {}
        changed: tuple[str, ...] = ()
        if operation.of_visual:
            pictures["image"], changed = await anyio.to_thread.run_sync(
                self._of_visual, organisation, visual_id, body
            )
        for rule in operation.pictures:
            if (picture := await self._dependencies.intake.picture(fields, rule)) is not None:
                pictures[rule.name] = picture
        pictures.update(await operation.gather(body, self._dependencies.intake))
        with translated(operation.refusals):
            operation.check(body, pictures)
        chosen = self._dependencies.settings.result_format
        extension = result_extension(chosen, operation, body, pictures["image"])
        job = Job(operation, organisation, body, pictures, (), visual_id, changed=changed)
        if operation.registers:
            job = await self._registered(request, job)
        name = operation.result_name(job.visual_id)
        keys = [new_key(organisation, extension, name) for _ in range(operation.count(body))]
        sid = self._dependencies.visuals.new_sid() if operation.makes_sid else ""
        return replace(job, keys=keys, sid=sid)

    def _of_visual(
        self, organisation: str, visual_id: str, body: EditBody
    ) -> tuple[Encoded, tuple[str, ...]]:
        visual = self._dependencies.visuals.find(organisation, visual_id)
        if isinstance(body, VisualBody) and body.sid is not None:
            return self._dependencies.visuals.result(visual, body.sid)
        return self._dependencies.visuals.picture(visual), ()

    async def _registered(self, request: Request, job: Job) -> Job:
        """Make a job's picture a visual, once nothing speaks against it any more."""
        job = await self._run(request, partial(self._executor.check, job), Priority.CHECK)
        visual_id, _ = await anyio.to_thread.run_sync(
            self._dependencies.visuals.register, job.organisation, job.pictures["image"]
        )
        return replace(job, visual_id=visual_id)

    async def _run(
        self, request: Request, work: Callable[[], R], priority: Priority = Priority.CALL
    ) -> R:
        """Do a piece of work on the scheduler, and learn how long such work takes.

        When its caller leaves, work that has not begun is never done, and what has begun ends at its
        next step: callers who lose patience and ask again would pile it up. Raises ClientDisconnect,
        and ShuttingDownError where the process ends before the work has begun, or is done.
        """
        deadline = Deadline(self._dependencies.settings.request_timeout_s)

        def timed() -> R:
            start = time.monotonic()
            try:
                with deadline_scope(deadline):
                    return work()
            finally:
                if priority is Priority.CALL:
                    took = time.monotonic() - start
                    loop.call_soon_threadsafe(self._dependencies.concurrency_limit.record, took)

        loop = asyncio.get_running_loop()
        try:
            future = self._scheduler.submit(timed, priority)
        except SchedulerClosedError as error:
            raise ShuttingDownError from error

        def leave(_: object) -> None:
            deadline.cancel()
            future.cancel()

        gone = asyncio.create_task(_until_gone(request))
        gone.add_done_callback(leave)
        try:
            return await asyncio.wrap_future(future)
        except CallerDisconnectedError:
            raise ClientDisconnect from None
        except SchedulerClosedError as error:  # of a check whose model's call came too late
            raise ShuttingDownError from error
        except asyncio.CancelledError:
            if gone.done():
                raise ClientDisconnect from None
            raise ShuttingDownError from None
        finally:
            gone.cancel()


async def _until_gone(request: Request) -> None:
    """Wait until the caller has hung up; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
