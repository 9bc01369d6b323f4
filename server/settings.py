"""Every setting of the server, read once from the environment (prefix `RETOUCH_`) and passed in."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from models.settings import DEFAULT_WAITING, EnvironmentSettings, ModelSettings, WaitingLimit
from storage.database import database_url, is_postgresql
from storage.s3 import Bucket
from storage.stores import parse_s3

_ORGANISATION = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _split(value: Any) -> Any:
    """Take a comma-separated text apart; leave anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class ListenerSettings(EnvironmentSettings):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs API_TOKENS."""
    port: int = Field(8000, ge=0, le=65535)
    """TCP port to listen on."""


class Settings(ModelSettings, ListenerSettings):
    """What an operator may choose. Each field is set by `RETOUCH_` and its name in capitals."""

    store: str | None = None
    """Where results and pictures lie: a folder, or s3://bucket/prefix. Unset: DATA_DIR."""
    s3_endpoint: str | None = None
    """Address of an S3 store other than AWS's own, as this server reaches it."""
    s3_public_endpoint: str | None = None
    """Address of the same store as readers of result links reach it. Unset: S3_ENDPOINT."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_style: Literal["path", "host"] | None = None
    """Where the bucket's name stands in addresses. Unset: in the path with S3_ENDPOINT, else the host."""
    s3_lifecycle: bool = False
    """The bucket itself expires what is under results/: the sweep need not list it."""
    database_url: SecretStr | None = None
    """Where visuals and jobs are kept: postgresql://user:password@host/name, to be shared by several
    servers. Unset: SQLite files in DATA_DIR."""
    public_url: str | None = None
    """What result links start with, without a trailing slash. Unset: the address that the caller used."""
    api_tokens: Annotated[tuple[str, ...], NoDecode] = ()
    """`organisation:token`, comma-separated. Without any, only loopback is served and every non-empty
    token is an organisation of its own."""
    link_ttl_s: int = Field(86400, ge=1, le=604800)
    """Life of a result and of its link, in seconds; 7 days at most."""
    result_format: Literal["png", "jpeg", "webp"] | None = None
    """Format of every result. Unset: PNG where pixels are promised identical or alpha is carried, else
    the input's. A result that carries alpha is never JPEG; it stays PNG."""
    max_body_mb: int = Field(40, ge=1, le=1024)
    """Largest request body, in MiB; two pictures in base64 fit by default."""
    max_picture_mb: int = Field(12, ge=1, le=512)
    """Largest encoded picture, sent or fetched, in MiB."""
    max_pixels: int = Field(8192 * 8192, ge=1, le=2**28)
    """Largest input picture, in pixels."""
    allowed_url_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks beyond the public internet that picture addresses may reach, as CIDR, comma-separated."""
    org_image_url: str | None = None
    """Where register finds an `org_image_key`: an address with {key} in it. Unset: nowhere."""
    fetch_timeout_s: float = Field(20, gt=0, le=600)
    """Longest time to fetch one picture from an address, in seconds, redirects included."""
    body_timeout_s: float = Field(60, gt=0, le=3600)
    """Longest time to receive one request body, in seconds."""
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=1024)
    """Requests worked on at once, each on one thread; the number of cores by default."""
    max_waiting: WaitingLimit = DEFAULT_WAITING
    """Requests at once, worked on or waiting, and four times as many undone jobs of sync=false; beyond
    it callers get 429."""
    request_timeout_s: float = Field(600, gt=0, le=86400)
    """Longest time that one request is worked on or waits for it, in seconds; then 503."""
    job_timeout_s: float = Field(3600, gt=0, le=604800)
    """Longest time that one try at a job of sync=false is worked on, in seconds."""
    engine: Literal["local", "ray"] = "local"
    """Where models run: in this process, or on the Ray cluster at RAY_ADDRESS."""
    ray_address: str | None = None
    """Address of the Ray cluster, host:port of its head; auto: the one that runs on this machine."""
    drain_s: float = Field(2, ge=0, le=600)
    """Time between SIGTERM, when /readyz turns 503, and closing the listener, in seconds."""
    grace_s: float = Field(30, ge=1, le=3600)
    """Longest time from SIGTERM to the end of the process, in seconds."""
    moderation_threshold: float = Field(0.8, gt=0, le=1)
    """Score, 0 to 1, from which on content moderation refuses a picture."""
    sweep_interval_s: float = Field(300, gt=0, le=86400)
    """Time between two sweeps of expired results, in seconds."""
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    """Least severity that is logged."""

    @field_validator("api_tokens", mode="before")
    @classmethod
    def _tokens(cls, value: Any) -> Any:
        pairs = _split(value)
        seen: set[str] = set()
        for pair in pairs:
            organisation, colon, token = pair.partition(":")
            if not colon or not token or not _ORGANISATION.match(organisation):
                raise ValueError(
                    "each entry is organisation:token; an organisation is 1 to 64 of A-Z a-z 0-9 _ -"
                )
            if token in seen:
                raise ValueError(
                    f"one token serves two organisations; {organisation} is the second"
                )
            seen.add(token)
        return pairs

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
            raise ValueError("several servers share postgresql://user:password@host/name alone")
        return value

    @field_validator("public_url", "s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not re.match(r"https?://[^/\s?#]+[^\s?#]*\Z", value):
            raise ValueError(
                "an http or https address without query, such as https://edit.example.com"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _tokens_where_strangers_reach(self) -> "Settings":
        if not self.api_tokens and not is_loopback(self.host):
            raise ValueError(
                f"HOST {self.host} can be reached by other machines, so API_TOKENS must be set"
                " (organisation:token); without tokens only loopback is served"
            )
        return self

    @property
    def store_address(self) -> Path | Bucket:
        """The folder or the bucket that results and pictures lie in."""
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
    def _ends_in_time(self) -> "Settings":
        if self.drain_s > self.grace_s / 2:
            raise ValueError(f"DRAIN_S {self.drain_s:g} is over half of GRACE_S {self.grace_s:g}")
        return self

    @model_validator(mode="after")
    def _cluster_is_named(self) -> "Settings":
        if self.engine == "ray" and not self.ray_address:
            raise ValueError(
                "ENGINE ray needs RAY_ADDRESS, host:port of the cluster's head or auto"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether a listening address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may resolve to anything
