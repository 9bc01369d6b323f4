"""The answer of GET /admin/state: the figures of the page, each part with an error if it could not be read."""

from datetime import datetime

from pydantic import BaseModel, Field

from server.jobs.overview import StateOfJob


class Part(BaseModel):
    """A part that is read from somewhere else, and so may be missing or old."""

    error: str | None = Field(None, description="Why the newest figures are missing.")
    age_s: float | None = Field(
        None, description="Age of the figures in seconds; null if there are none yet."
    )


class ThisServer(BaseModel):
    """The server that answers."""

    name: str
    version: str
    profile: str
    engine: str = Field(description="Where models run: local, or ray.")
    started: datetime
    status: str = Field(
        description="As /readyz has it: ready, starting, failed, unavailable or ending."
    )
    reason: str | None = Field(None, description="Why it is not ready.")
    has_tokens: bool = Field(description="Whether only known tokens are valid.")


class OtherServer(BaseModel):
    """A server that has used the same database."""

    name: str
    started: datetime
    is_alive: bool = Field(description="Whether it holds its lease at the moment.")
    is_this: bool


class Servers(Part):
    """The servers that share the database; none where one server has it for itself."""

    is_shared: bool
    servers: list[OtherServer] = []


class UnfinishedJobState(BaseModel):
    """A job of sync=false that is not finished."""

    request_id: str
    organisation: str
    operation: str | None = Field(
        None, description="Null if an earlier version of Retouch has accepted it."
    )
    state: StateOfJob = Field(
        description="running: a worker of this server has begun it. waiting: this server has it, and no"
        " worker yet. elsewhere: another server has it. queued: no server has it."
    )
    server: str | None
    age_s: float = Field(description="Seconds since it was accepted.")


class FailedJobState(BaseModel):
    """A job of sync=false that failed."""

    request_id: str
    organisation: str
    operation: str | None = None
    code: int
    error: str = Field(description="What its caller is told, without what a caller may have sent.")
    accepted: datetime
    ended: datetime | None = None


class Jobs(Part):
    """The jobs of all servers of the database."""

    counts: dict[str, int] = Field(description="How many are unfinished, by state.")
    is_complete: bool = Field(
        description="Whether the counts are of all jobs, not of the oldest ones."
    )
    unfinished: list[UnfinishedJobState] = Field(description="The oldest first.")
    failed: list[FailedJobState] = Field(description="Of the last 24 hours, the newest first.")


class ModelOfRole(BaseModel):
    """The model of a role."""

    role: str
    model: str
    memory_mb: int = Field(description="What it takes once it is loaded, by its card, in MiB.")
    device: str
    dtype: str | None = Field(None, description="Data type of its weights; null on a cluster.")
    is_loaded: bool | None = Field(None, description="Null if it runs on a cluster.")
    is_evicted: bool | None = Field(
        None, description="Whether its weights wait in main memory instead."
    )
    users: int | None = Field(None, description="Calls that use it now.")


class Memory(BaseModel):
    """Memory in MiB."""

    models_mb: int | None = Field(None, description="Of the loaded models, by their cards.")
    models_budget_mb: int | None = Field(None, description="What they may take; null: no limit.")
    evicted_mb: int | None = Field(
        None, description="Main memory of models that were evicted from the GPU, by their cards."
    )
    evicted_budget_mb: int | None = Field(
        None, description="What they may take there; 0: none is kept."
    )
    device: str | None = Field(None, description="What torch models run on.")
    process_mb: float = Field(
        description="What this process has; 0 where the system does not tell."
    )
    limit_mb: float | None = Field(None, description="What this process may have.")
    requests_mb: float = Field(description="What the running requests take, by estimate.")
    requests_budget_mb: float | None = Field(None, description="What they may take together.")


class Models(BaseModel):
    """The models of the profile. None where the engine does not tell."""

    models: list[ModelOfRole]
    memory: Memory


class QueueOfOrganisation(BaseModel):
    """What one organisation has in work. Of this server but for `elsewhere`."""

    organisation: str
    running: int = Field(description="Tasks on workers.")
    waiting: int = Field(description="Tasks that wait for a worker, but for jobs.")
    waiting_jobs: int = Field(description="Jobs of sync=false that wait for a worker.")
    requests: int = Field(description="Requests that hold a place.")
    elsewhere: int = Field(description="Requests that hold a place on other servers.")


class Queue(BaseModel):
    """Who waits for the workers. organisations: those with the most first."""

    workers: int
    running: int
    waiting: int
    max_requests: int = Field(description="Requests that may run or wait, the setting MAX_WAITING.")
    organisations: list[QueueOfOrganisation]
    organisation_count: int = Field(description="Also of those that are not listed.")


class RefusalState(BaseModel):
    """Equal refusals."""

    organisation: str | None = Field(None, description="Null if the token is unknown.")
    operation: str | None = Field(None, description="Null if there is no such route.")
    code: int
    text: str
    count: int
    time: datetime = Field(description="Of the last one.")


class StorageOfOrganisation(BaseModel):
    """What one organisation stores."""

    organisation: str
    bytes: int
    visuals: int = Field(description="Registered pictures.")


class Storage(Part):
    """What is stored, and where there is room. organisations: those that store the most first."""

    is_counted: bool = Field(
        description="Whether results count; without tokens only registered pictures do."
    )
    total_bytes: int = 0
    organisation_count: int = 0
    organisations: list[StorageOfOrganisation] = []
    max_bytes: int | None = Field(
        None, description="What one organisation may store; null: no limit."
    )
    disk_free_bytes: int | None = None
    disk_reserve_bytes: int | None = Field(
        None, description="Below so much free space nothing new is stored."
    )
    is_disk_full: bool = False
    disk_error: str | None = None


class AdminState(BaseModel):
    """The state of a server, at one moment."""

    time: datetime
    server: ThisServer
    servers: Servers
    jobs: Jobs
    models: Models
    queue: Queue
    refusals: list[RefusalState] = Field(
        description="Of this server since its start, the newest first."
    )
    storage: Storage
