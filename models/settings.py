"""The settings of the models, and how every program of ours reads settings from the environment.

The server, `scripts/deploy-models` and `scripts/weights` read the same classes by `read_settings`, so that
a variable means the same in each of them.
"""

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

PREFIX = "RETOUCH_"


class EnvironmentSettings(BaseSettings):
    """Settings whose fields are read from `RETOUCH_` and the field's name in capitals.

    Whitespace around a value is dropped, a carriage return at its end included. A variable that is empty
    then counts as unset.
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

    Raises InvalidSettingsError for values that cannot be read.
    """
    try:
        return kind(**chosen)
    except ValidationError as error:
        faults = map(_told, error.errors(include_url=False, include_input=False))
        raise InvalidSettingsError("\n".join(f"settings: {fault}" for fault in faults)) from None


def _told(fault: Mapping[str, Any]) -> str:
    name = PREFIX + "_".join(map(str, fault["loc"])).upper() if fault["loc"] else ""
    return f"{name} {fault['msg']}".strip()


def _values(variables: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the variables that are set, without the whitespace around their values."""
    for name, value in variables.items():
        text = (value or "").strip()
        if text:
            yield name, text
