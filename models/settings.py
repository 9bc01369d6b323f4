"""The settings of the models, and the function that reads settings from the environment.

The server, `scripts/deploy-models` and `scripts/weights` read the same classes with
`read_settings`, so a variable means the same in each of them.
"""

import itertools
import logging
import os
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
from models.log_lines import LogFormat, LogLevel
from models.variables import PREFIX, variables_that_are_set

log = logging.getLogger("retouch.settings")

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
        "MAKE_TOKEN",
        "LINK_TTL_S",
        "VISUAL_TTL_S",
        "STATUS_TTL_S",
        "IDEMPOTENCY_TTL_S",
        "RESULT_FORMAT",
        "MAX_BODY_MB",
        "MAX_PICTURE_MB",
        "MAX_PIXELS",
        "ALLOWED_URL_NETWORKS",
        "ORG_IMAGE_URL",
        "FETCH_TIMEOUT_S",
        "FETCH_USER_AGENT",
        "FETCH_PROXY",
        "WEBHOOK_TIMEOUT_S",
        "WEBHOOK_RETRY_S",
        "WEBHOOK_CONCURRENCY",
        "BODY_TIMEOUT_S",
        "WORKERS",
        "MAX_AT_ONCE",
        "MAX_JOBS",
        "REQUEST_MEMORY_MB",
        "REQUESTS_PER_MINUTE",
        "STATUS_REQUESTS_PER_MINUTE",
        "RATE_LIMITS",
        "REQUEST_TIMEOUT_S",
        "JOB_TIMEOUT_S",
        "MAX_STORED_MB",
        "MAX_VISUALS",
        "DISK_RESERVE_MB",
        "ENGINE",
        "DRAIN_S",
        "GRACE_S",
        "MODERATION_THRESHOLD",
        "SWEEP_INTERVAL_S",
        "AUDIT_LOG",
        "PLAYGROUND",
        "OPERATOR_HOST",
        "OPERATOR_PORT",
    }
)
"""Settings that only the server has. They are in `server.settings`, which this layer must not import."""
TOOL_NAMES = frozenset(
    {
        "PYTHON",
        "LOCKED",
        "UV",
        "TEST_GPU",
        "CONTRACT_URL",
        "CONTRACT_TOKEN",
        "CONTRACT_PICTURES",
        "EDIT_TOKEN",
        "PARITY_TOKENS",
    }
)
"""Variables that only scripts, tests and the command `retouch` read."""

REPLACED = {
    "MAX_QUEUE": ": use RETOUCH_MAX_WAITING",
    "MAX_UNDONE": ": use RETOUCH_MAX_WAITING, a quarter of the jobs that may be unfinished",
}
"""Settings of earlier versions, and what replaces them. The text follows a warning."""


class EnvironmentSettings(BaseSettings):
    """Settings from environment variables: `RETOUCH_` and the field's name in capitals.

    Whitespace around a value is removed, also a carriage return at its end. A variable counts as
    unset if it is then empty, or if Kubernetes has set it for a Service.
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
        """Read arguments first, then the environment without the variables that count as unset."""
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = dict(variables_that_are_set(env_settings.env_vars))
        return init_settings, env_settings


class ModelSettings(EnvironmentSettings):
    """Which models run, where their weights are, and how the models run."""

    profile: str = "lite"
    """Which model each role uses: lite, cpu, sdxl, open, studio, bria, tiny, or the path of your own .toml."""
    models_dir: Path | None = None
    """Folder with your own copies of weights, as `org--name` or `org/name`. They are used before any hub."""
    device: str = "auto"
    """Device of torch models, by torch's name. auto: the first GPU; without one, a profile whose models
    need it does not start."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Dtype of torch models' weights. auto: each model's own on a GPU, float32 on the CPU."""
    offload: bool = False
    """Keep weights in main memory and move each part to the GPU when it runs: slower, for small GPUs."""
    cuda_graphs: bool = False
    """Replay networks that are small for a GPU as CUDA graphs (decision 37): SDXL's, BRIA's and the prompt
    refiner's. Without effect on a processor, with offload and on Ray."""
    memory_mb: int | None = Field(None, ge=1)
    """Memory limit for loaded models, in MiB: others are evicted (decision 31). Unset: with torch models a part
    of the memory that is free at start (`models.runtime.device_policy`), else no limit."""
    main_memory_mb: int | None = Field(None, ge=0)
    """Main memory for models that are evicted from a GPU, in MiB; 0: they are loaded from disk again. Unset: half
    of what is free at start."""
    preload: bool = True
    """Load models at start, as many as fit, and make the first pictures of generative ones. If false, each model
    is loaded when it is first needed. Without effect on Ray."""
    data_dir: Path = Path("data")
    """Folder of weights, results and the link secret, relative to the working directory."""
    log_format: LogFormat = "console"
    """Form of the log's lines: console, for people, with colours on a terminal; json, one object a line."""
    log_level: LogLevel = "info"
    """Lowest severity that is logged."""

    @property
    def weights_dir(self) -> Path:
        """The folder that weights are downloaded into."""
        return self.data_dir / "weights"


WaitingLimit = Annotated[int, Field(ge=1, le=100_000)]
"""How many calls or requests may wait, 1 to 100,000."""
DEFAULT_WAITING = 64


class DeploymentSettings(ModelSettings):
    """The settings of a deployment on a Ray cluster, in addition to the models'."""

    max_waiting: WaitingLimit = DEFAULT_WAITING
    """Largest number of calls that wait for one model, in each process that calls it."""
    ray_address: str | None = None
    """Address of the Ray cluster: host:port of its head node. auto: the cluster on this machine."""
    gpu_memory_mb: int = Field(24 * 1024, ge=1)
    """Memory of one GPU of the cluster, in MiB. 24 GiB is the least that profiles with torch need."""


S = TypeVar("S", bound=EnvironmentSettings)


def read_settings(kind: type[S], **overrides: Any) -> S:
    """Return the settings from the environment. `overrides` have precedence.

    Raises InvalidSettingsError for invalid values and for names that look misspelled.
    """
    problems = [
        f"{name} is not a setting; did you mean {' or '.join(near)}?"
        for name, near in _unknown(os.environ)
        if near
    ]
    settings = None
    try:
        settings = kind(**overrides)
    except ValidationError as error:
        messages = map(_message, error.errors(include_url=False, include_input=False))
        problems += dict.fromkeys(messages)  # each once: a list of networks has two errors
    if settings is None or problems:
        raise InvalidSettingsError("\n".join(f"settings: {problem}" for problem in problems))
    return settings


def warn_of_unknown_names() -> None:
    """Log a warning for each variable that begins with `RETOUCH_` and is not a setting."""
    for name, near in _unknown(os.environ):
        if not near:
            instead = REPLACED.get(name.upper().removeprefix(PREFIX), "")
            log.warning("settings: %s is not a setting and has no effect%s", name, instead)


def known_names() -> frozenset[str]:
    """Return the name of every variable that the server, a script or a test reads."""
    model_names = frozenset(name.upper() for name in DeploymentSettings.model_fields)
    return frozenset(PREFIX + name for name in model_names | SERVER_NAMES | TOOL_NAMES)


_MUST_BE = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "ip": "IP networks such as 10.0.0.0/8",
    "literal": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
}
"""By pydantic's error type, or its first word: what the value must be."""


def _message(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a setting, without the terms of pydantic."""
    kind, context = problem["type"], problem.get("ctx", {})
    name = PREFIX + str(problem["loc"][0]).upper() if problem["loc"] else ""
    if kind == "value_error":
        return f"{name}: {context['error']}".removeprefix(": ")
    wanted = _MUST_BE.get(kind) or _MUST_BE.get(kind.partition("_")[0], "another value")
    return f"{name} must be {wanted.format_map(context)}"


def _unknown(variables: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the names that nothing reads, each with the known names that are one edit away.

    A name without the prefix `RETOUCH_` is yielded only if there is such a known name:
    `RETOUHC_PORT`.
    """
    known = known_names()
    for name, _ in variables_that_are_set(variables):
        # pydantic-settings ignores case too.
        if (upper := name.upper()) in known:
            continue
        near = sorted(one for one in known if _is_one_edit_away(upper, one))
        if near or upper.startswith(PREFIX):
            yield name, near


def _is_one_edit_away(one: str, other: str) -> bool:
    """Whether two names differ by one inserted, removed or changed character, or by two swapped ones."""
    pairs = zip(one, other, strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    a, b = one[same:], other[same:]
    swapped = a[:2] == b[1::-1] and a[2:] == b[2:]
    return a != b and (a[1:] == b[1:] or a[1:] == b or a == b[1:] or swapped)
