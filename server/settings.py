"""The settings of the server, read once from the environment (prefix `RETOUCH_`)."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2 as httpx
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode
from sqlalchemy.engine import URL

from models.processors import usable_processors
from models.settings import DEFAULT_WAITING, EnvironmentSettings, ModelSettings, WaitingLimit
from server.http.auth import MAX_TOKEN_LENGTH
from storage.bucket import Bucket
from storage.database import database_url, is_postgresql
from storage.stores import parse_s3

ORGANISATION_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
"""The name of an organisation; it begins the keys of results."""
_ADDRESS_PATTERN = re.compile(
    r"(?P<scheme>https?)://(?P<user>[^/\s?#]*@)?(?P<host>[^/\s?#@]+)(?P<path>[^\s?#]*)",
    re.IGNORECASE,
)
_TOKEN_PATTERN = re.compile(rf"[ -~\xa0-\xff]{{1,{MAX_TOKEN_LENGTH}}}")
_RATE_PATTERN = re.compile(r"([A-Za-z0-9_-]{1,64})?(/[^\s=,]{1,254})?\s*=\s*([0-9]{1,7})")
Rate = Annotated[int, Field(ge=0, le=1_000_000)]
"""Requests a minute; 0: no limit."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _split(value: Any) -> Any:
    """Return the parts of a comma-separated text; any other value is returned unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class ListenerSettings(EnvironmentSettings):
    """The address on which the server listens."""

    host: str = "127.0.0.1"
    """Address to listen on. Any address other than loopback requires a token: in API_TOKENS, or in the
    database (`retouch tokens create`)."""
    port: int = Field(8000, ge=0, le=65535)
    """TCP port to listen on."""


class Settings(ModelSettings, ListenerSettings):
    """All settings of the server. Each is set by the variable `RETOUCH_` and its name in capitals."""

    store: str | None = None
    """Where results and pictures are stored: a folder, or s3://bucket/prefix. Unset: DATA_DIR."""
    s3_endpoint: str | None = None
    """Address of an S3 store other than AWS, for this server."""
    s3_public_endpoint: str | None = None
    """Address of the same store in result links. Unset: S3_ENDPOINT."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_style: Literal["path", "host"] | None = None
    """Position of the bucket's name in addresses. Unset: the path if S3_ENDPOINT is set, else the host."""
    s3_lifecycle: bool = False
    """The bucket has a lifecycle rule that removes old results, so the sweep does not list them."""
    database_url: SecretStr | None = None
    """Where visuals and jobs are stored: postgresql://user:password@host/name, which several servers may
    share. Unset: SQLite files in DATA_DIR."""
    public_url: str | None = None
    """Start of result links, without a trailing slash. Unset: the address that the caller used."""
    api_tokens: Annotated[tuple[str, ...], NoDecode] = ()
    """`organisation:token`, comma-separated; they may do everything, but see /admin only if all are of one
    organisation. Other tokens are in the database. With
    neither, the server only listens on loopback, and every non-empty token is its own organisation."""
    make_token: bool = False
    """Whether a server that other machines can reach makes a token at its first start and prints it once,
    instead of refusing to start, if there is none in the settings or in the database."""
    link_ttl_s: int = Field(86400, ge=1, le=604800)
    """Lifetime of a result and of its link, in seconds; at most 7 days."""
    visual_ttl_s: int = Field(0, ge=0, le=315_360_000)
    """How long a registered picture is kept after it was last registered, in seconds; 0: until it is
    removed."""
    status_ttl_s: int = Field(604800, ge=1, le=31_536_000)
    """How long /v2/status knows a finished request, in seconds; at least as long as its result is kept."""
    idempotency_ttl_s: int = Field(86400, ge=1, le=604800)
    """How long the answer to a request with an Idempotency-Key is kept, in seconds; at most 7 days."""
    result_format: Literal["png", "jpeg", "webp"] | None = None
    """Format of every result. Unset: PNG if the operation promises identical pixels or the result has
    alpha, else the input's format. A result with alpha is never JPEG, but PNG."""
    max_body_mb: int = Field(40, ge=1, le=1024)
    """Largest request body, and largest encoded picture of any route, in MiB; the default has room for two
    pictures of 12 MiB in base64."""
    max_picture_mb: int = Field(12, ge=1, le=512)
    """Largest encoded picture, sent or fetched, on the routes for which the published page limits it to
    12 MB, in MiB; other routes accept MAX_BODY_MB, and so do these for results of this server that come
    back by their links."""
    max_pixels: int = Field(8192 * 8192, ge=1, le=2**28)
    """Largest input picture, in pixels."""
    allowed_url_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks that are not public but may be in picture addresses, as CIDR, comma-separated."""
    org_image_url: str | None = None
    """Address of a picture by `org_image_key`, with {key} in it. Unset: register refuses such a key."""
    fetch_timeout_s: float = Field(20, gt=0, le=600)
    """Timeout for fetching one picture from an address, in seconds, redirects included."""
    fetch_user_agent: str = Field("Retouch", pattern=r"^[!-~]([ -~]{0,254}[!-~])?$")
    """User-Agent of the requests for pictures; some hosts refuse those without the address of a contact."""
    fetch_proxy: SecretStr | None = None
    """Forward proxy of the requests for pictures, http(s)://user:password@host:port. It must refuse private
    addresses itself: it resolves the names, so the server can check only how they are spelled."""
    webhook_timeout_s: float = Field(10, gt=0, le=60)
    """Timeout for one try to send a webhook, in seconds, redirects included."""
    webhook_retry_s: float = Field(67.5, gt=0, le=3600)
    """Time between the first two tries to send a webhook, in seconds. Each later wait is three times as
    long, so that the default spreads five tries over 45 minutes."""
    webhook_concurrency: int = Field(64, ge=1, le=1024)
    """Webhooks that are sent at the same time; one organisation may have an eighth of them."""
    body_timeout_s: float = Field(60, gt=0, le=3600)
    """Timeout for receiving one request body, in seconds; a minimum rate applies too."""
    workers: int = Field(default_factory=usable_processors, ge=1, le=1024)
    """Requests that run in parallel, each on one thread; by default the number of processors that this
    process may use: by its affinity and by the CPU quota of its container, rounded up."""
    max_waiting: WaitingLimit = DEFAULT_WAITING
    """Limit of requests that run or wait, shared out among the organisations that ask; four times as many
    jobs of sync=false may be unfinished. Beyond its share an organisation gets 429."""
    max_at_once: int = Field(64, ge=0, le=100_000)
    """Requests of one organisation that run or wait at the same time, on all servers that share a database;
    0: as many as MAX_WAITING leaves it. Holds only with tokens, and if the server had some at its start."""
    max_jobs: int = Field(256, ge=0, le=1_000_000)
    """Unfinished jobs of sync=false of one organisation; 0: as many as MAX_WAITING leaves it. Holds
    only with tokens, and if the server had some at its start."""
    request_memory_mb: int | None = Field(None, ge=64, le=2**24)
    """Memory that the requests which run may take together, by their estimates, in MiB. One that needs more
    alone is refused. Unset: 90 % of the limit of the process, by its cgroup or the machine, less what it has
    once the models are loaded; at least 128."""
    requests_per_minute: int = Field(60, ge=0, le=1_000_000)
    """Requests that an organisation may send to one route within a minute; beyond the limit it gets 429.
    0: no limit. There is none without tokens."""
    status_requests_per_minute: int = Field(600, ge=0, le=1_000_000)
    """The same for /v2/status."""
    rate_limits: Annotated[dict[str, Rate], NoDecode] = Field(default_factory=dict)
    """Other limits, comma-separated: organisation=600, /v1/crop=120, or organisation/v1/crop=0 for both. A
    route is the path of the OpenAPI document. The more exact one decides."""
    request_timeout_s: float = Field(600, gt=0, le=86400)
    """Timeout for one request, waiting included, in seconds; then the answer is 503."""
    job_timeout_s: float = Field(3600, gt=0, le=604800)
    """Timeout for one attempt at a job of sync=false, in seconds."""
    max_stored_mb: int | None = Field(None, ge=0, le=2**31)
    """What one organisation may store at a time, in MiB: registered pictures, results that have not expired,
    and the pictures of unfinished jobs. 0: no limit. Unset: a quarter of the store's disk, 100 GiB in a
    bucket. Holds only with tokens."""
    max_visuals: int = Field(10_000, ge=0, le=2**31)
    """Pictures that one organisation may have registered at a time. 0: no limit. Holds only with tokens."""
    disk_reserve_mb: int | None = Field(None, ge=0, le=2**31)
    """Free space of the disk below which nothing new is stored, in MiB, so that removals and accepted work
    find room. 0: none. Unset: a tenth of the disk, at most 256 MiB."""
    engine: Literal["local", "ray"] = "local"
    """Where models run: local, in this process; ray, on the cluster at RAY_ADDRESS, or without an address on
    all GPUs of this machine."""
    ray_address: str | None = None
    """Address of the Ray cluster: host:port of its head, or auto for one that runs on this machine already. Unset:
    the server starts a Ray for itself."""
    drain_s: float = Field(2, ge=0, le=600)
    """Time from SIGTERM, when /readyz changes to 503, until the listener closes, in seconds."""
    grace_s: float = Field(30, ge=1, le=3600)
    """Longest time from SIGTERM to the exit of the process, in seconds."""
    moderation_threshold: float = Field(0.8, gt=0, le=1)
    """Content moderation refuses a picture with this score or a higher one, 0 to 1. image_expansion calls
    such a result NSFW."""
    sweep_interval_s: float = Field(300, gt=0, le=86400)
    """Time between two sweeps of expired results, in seconds."""
    audit_log: str = "log"
    """Where one line for each request goes: log, the server's own log; off; or the path of a file."""
    playground: bool = True
    """Whether `/` is the playground, a page for users. The page needs no token; what it asks the server does."""
    operator_host: str = "127.0.0.1"
    """Address to listen on at OPERATOR_PORT; the rule of HOST holds for it too."""
    operator_port: int | None = Field(None, ge=0, le=65535)
    """A second TCP port, at which /docs, /capabilities and /metrics need no token. Unset: there is none."""

    @field_validator("api_tokens", mode="before")
    @classmethod
    def _tokens(cls, value: Any) -> Any:
        pairs: list[str] = []
        seen: set[str] = set()
        for pair in _split(value):
            organisation, colon, token = (part.strip() for part in pair.partition(":"))
            if not colon or not token or not ORGANISATION_PATTERN.match(organisation):
                raise ValueError(
                    "each entry must be organisation:token; an organisation has 1 to 64 characters"
                    " of A-Z a-z 0-9 _ -"
                )
            if not _TOKEN_PATTERN.fullmatch(token):
                raise ValueError(
                    f"the token of {organisation} cannot be sent in an HTTP header: it may have up to"
                    f" {MAX_TOKEN_LENGTH} characters of Latin-1 and no control characters"
                )
            if token in seen:
                raise ValueError(
                    f"two organisations have the same token; {organisation} is the second"
                )
            seen.add(token)
            pairs.append(f"{organisation}:{token}")
        return tuple(pairs)

    @field_validator("rate_limits", mode="before")
    @classmethod
    def _rates(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        rates: dict[str, int] = {}
        for entry in _split(value):
            match = _RATE_PATTERN.fullmatch(entry)
            name = f"{match[1] or ''}{match[2] or ''}" if match else ""
            if match is None or not name or name in rates:
                raise ValueError(
                    "each entry must be organisation=number, /route=number or"
                    " organisation/route=number, and each name may come once"
                )
            rates[name] = int(match[3])
        return rates

    @field_validator("allowed_url_networks", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("store")
    @classmethod
    def _store(cls, value: str | None) -> str | None:
        if value and "://" in value:
            parse_s3(value)
        return value or None

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not is_postgresql(database_url(value.get_secret_value())):
            raise ValueError(
                "a database for several servers must be postgresql://user:password@host/name"
            )
        return value

    @field_validator("fetch_proxy")
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not is_proxy_address(value.get_secret_value()):
            raise ValueError(
                "a proxy must be http://host:port or https://host:port, without a path; a user and a"
                " password may stand before the host, percent-encoded"
            )
        return value

    @field_validator("org_image_url")
    @classmethod
    def _org_image_url(cls, value: str | None) -> str | None:
        if value and ("{key}" not in value or not re.match(r"(?i)https?://[^/\s?#]", value)):
            raise ValueError(
                "it must be an http or https address with {key} in it, such as"
                " https://pictures.example.com/{key}"
            )
        return value or None

    @field_validator("public_url", "s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        match = _ADDRESS_PATTERN.fullmatch(value)
        if match is None:
            raise ValueError(
                "it must be an http or https address without a query, such as https://edit.example.com"
            )
        # Scheme and host mean the same in any case (RFC 3986); results are compared and signed as text.
        user, host, path = match["user"] or "", match["host"].lower(), match["path"]
        return f"{match['scheme'].lower()}://{user}{host}{path}".rstrip("/")

    @property
    def address(self) -> str:
        """Where callers reach the server; `/` if only they know."""
        if self.public_url:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}" if self.port and is_loopback(self.host) else "/"

    @property
    def records_url(self) -> URL:
        """The database of visuals, idempotency keys and tokens: a file in DATA_DIR, or DATABASE_URL."""
        if self.database_url is None:
            return database_url(f"sqlite:///{self.data_dir.absolute()}/records.db")
        return database_url(self.database_url.get_secret_value())

    @property
    def store_address(self) -> Path | Bucket:
        """The folder or the bucket in which results and pictures are stored."""
        if self.store is None:
            return self.data_dir
        if "://" not in self.store:
            return Path(self.store)
        name, prefix = parse_s3(self.store)
        style = self.s3_style or ("path" if self.s3_endpoint else "host")
        return Bucket(
            name,
            prefix,
            self.s3_endpoint,
            self.s3_public_endpoint,
            self.s3_region,
            style == "path",
            self.s3_lifecycle,
        )

    @model_validator(mode="after")
    def _drain_fits_grace(self) -> "Settings":
        if self.drain_s > self.grace_s / 2:
            raise ValueError(
                f"DRAIN_S {self.drain_s:g} must be at most half of GRACE_S {self.grace_s:g}"
            )
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        if self.operator_port and self.operator_port == self.port:
            raise ValueError(f"OPERATOR_PORT {self.operator_port} must not be the same as PORT")
        return self

    @property
    def operators(self) -> tuple[str, int] | None:
        """Host and port of the second listener; None if there is none."""
        return None if self.operator_port is None else (self.operator_host, self.operator_port)

    @model_validator(mode="after")
    def _ray_uses_every_gpu(self) -> "Settings":
        own = self.engine == "ray" and not self.ray_address
        if own and re.fullmatch(r"[a-z]+:\d+", self.device):
            raise ValueError(
                f"ENGINE ray without RAY_ADDRESS uses every GPU, and DEVICE {self.device} names one:"
                " use CUDA_VISIBLE_DEVICES to leave some out"
            )
        return self


def is_proxy_address(text: str) -> bool:
    """Whether a text is the address of a forward proxy: http or https, a host, and nothing after it."""
    if not re.match(r"https?://([^\s/?#@]+@)?[^\s/?#@]+/?\Z", text, re.IGNORECASE):
        return False
    try:
        port = httpx.URL(text).port
        return port is None or 0 < port <= 65535
    except httpx.InvalidURL:  # neither a name nor an address
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address on which a server listens."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may resolve to any address
