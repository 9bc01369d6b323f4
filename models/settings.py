"""The settings of the models, and how every program of ours reads settings from the environment.

The server, `scripts/deploy-models` and `scripts/weights` read the same classes by `read_settings`, so that
a variable means the same in each of them.
"""

import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from models.errors import InvalidSettingsError

log = logging.getLogger("retouch.settings")

PREFIX = "RETOUCH_"

SERVER_NAMES = frozenset(
    {
        "HOST",
        "PORT",
        "STORE",
        "S3_ENDPOINT",
        "S3_PUBLIC_ENDPOINT",
        "S3_REGION",
        "S3_STYLE",
        "S3_LIFECYCLE",
        "DATABASE_URL",
        "PUBLIC_URL",
        "API_TOKENS",
        "LINK_TTL_S",
        "RESULT_FORMAT",
        "MAX_BODY_MB",
        "MAX_PICTURE_MB",
        "MAX_PIXELS",
        "ALLOWED_URL_NETWORKS",
        "ORG_IMAGE_URL",
        "FETCH_TIMEOUT_S",
        "BODY_TIMEOUT_S",
        "WORKERS",
        "REQUEST_TIMEOUT_S",
        "JOB_TIMEOUT_S",
        "ENGINE",
        "DRAIN_S",
        "GRACE_S",
        "MODERATION_THRESHOLD",
        "SWEEP_INTERVAL_S",
        "LOG_LEVEL",
    }
)
"""Settings that only the server has (`server.settings`, which this layer cannot import)."""
TOOL_NAMES = frozenset(
    {"PYTHON", "TEST_GPU", "CONTRACT_URL", "CONTRACT_TOKEN", "CONTRACT_PICTURES"}
)
"""What scripts and tests read."""

REPLACED = {
    "MAX_QUEUE": ": RETOUCH_MAX_WAITING says how many may wait",
    "MAX_UNDONE": ": of jobs four times as many as RETOUCH_MAX_WAITING may be undone",
}
"""Settings of earlier versions, and what to use instead."""

# What Kubernetes sets in every container of a namespace for each of its Services.
_OF_A_SERVICE = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)\Z"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class EnvironmentSettings(BaseSettings):
    """Settings whose fields are read from `RETOUCH_` and the field's name in capitals.

    Whitespace around a value is dropped, a carriage return at its end included. A variable that is empty
    then, or that Kubernetes set for a Service of the name, counts as unset.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment without what counts as unset."""
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = dict(_values(env_settings.env_vars))
        return init_settings, env_settings


class ModelSettings(EnvironmentSettings):
    """Which models run, where their weights lie, and how they run."""

    profile: str = "lite"
    """Which weights stand behind each role: lite, open, bria, tiny, or the path of your own .toml."""
    models_dir: Path | None = None
    """Folder of your own copies of weights, `org--name` or `org/name`, used before any hub."""
    device: str = "auto"
    """Where torch models run, as torch names it; auto: the first GPU, else the processor."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Form of torch models' weights; auto: each model's own on a GPU, float32 on the processor."""
    offload: bool = False
    """Keep weights in main memory and bring each part to the GPU as it runs: slower, for small GPUs."""
    memory_mb: int | None = Field(None, ge=1)
    """What loaded models may hold, in MiB; the least used make room. Unset: 80 % of what is free at
    start for torch models, no limit without them."""
    preload: bool = True
    """Load models at start, as many as fit; else each when it is first needed."""
    data_dir: Path = Path("data")
    """Folder of weights, results and the link secret; relative to the working directory."""

    @property
    def weights_dir(self) -> Path:
        """The folder that weights are fetched into."""
        return self.data_dir / "weights"


WaitingLimit = Annotated[int, Field(ge=1, le=100_000)]
"""How many calls or requests may wait."""
DEFAULT_WAITING = 64


class DeploymentSettings(ModelSettings):
    """What is deployed on a Ray cluster, beyond the models."""

    max_waiting: WaitingLimit = DEFAULT_WAITING
    """Calls that may wait for one model at once, in each process that calls."""
    ray_address: str | None = None
    """Address of the Ray cluster, host:port of its head; auto: the one that runs on this machine."""
    gpu_memory_mb: int = Field(24 * 1024, ge=1)
    """Memory of one GPU of the cluster, in MiB. 24 GiB: the smallest that profiles with torch are for."""


S = TypeVar("S", bound=EnvironmentSettings)


def read_settings(kind: type[S], **chosen: Any) -> S:
    """Return the settings of the environment; `chosen` go before it.

    Raises InvalidSettingsError for values that cannot be read and for names that are misspelled.
    """
    faults = [
        f"{name} is no setting; did you mean {' or '.join(near)}?"
        for name, near in _unknown(os.environ)
        if near
    ]
    settings = None
    try:
        settings = kind(**chosen)
    except ValidationError as error:
        faults += map(_told, error.errors(include_url=False, include_input=False))
    if settings is None or faults:
        raise InvalidSettingsError("\n".join(f"settings: {fault}" for fault in faults))
    return settings


def warn_of_unknown_names() -> None:
    """Log each variable that begins as our settings do and is none of them."""
    for name, near in _unknown(os.environ):
        if not near:
            instead = REPLACED.get(name.upper().removeprefix(PREFIX), "")
            log.warning("settings: %s is no setting and changes nothing%s", name, instead)


def known_names() -> frozenset[str]:
    """Return the name of every variable that a program of ours reads."""
    of_the_models = frozenset(name.upper() for name in DeploymentSettings.model_fields)
    return frozenset(PREFIX + name for name in of_the_models | SERVER_NAMES | TOOL_NAMES)


def _told(fault: Mapping[str, Any]) -> str:
    name = PREFIX + str(fault["loc"][0]).upper() if fault["loc"] else ""
    return f"{name} {fault['msg']}".strip()


def _values(variables: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the variables that are set, without the whitespace around their values."""
    for name, value in variables.items():
        text = (value or "").strip()
        if text and not _is_of_a_service(name, text):
            yield name, text


def _is_of_a_service(name: str, value: str) -> bool:
    name = name.upper()
    if name.endswith("_PORT") and _SERVICE_ADDRESS.match(value):
        return True
    return _OF_A_SERVICE.match(name) is not None


def _unknown(variables: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the names that nothing reads, each with the known names that are one edit away.

    Names that do not begin as ours do are yielded only with such a neighbour: `RETOUHC_PORT`.
    """
    known = known_names()
    for name, _ in _values(variables):
        # Case is of no matter to pydantic-settings either.
        if (given := name.upper()) in known:
            continue
        near = sorted(one for one in known if _is_one_edit_away(given, one))
        if near or given.startswith(PREFIX):
            yield name, near


def _is_one_edit_away(one: str, other: str) -> bool:
    """Whether one character inserted, dropped or changed, or two neighbours swapped, is the difference."""
    pairs = zip(one, other, strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    a, b = one[same:], other[same:]
    swapped = a[:2] == b[1::-1] and a[2:] == b[2:]
    return a != b and (a[1:] == b[1:] or a[1:] == b or a == b[1:] or swapped)
