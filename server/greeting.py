"""What the server says at its start: a better profile, its address, and a command that calls it."""

import ipaddress
import shlex
from pathlib import Path

from models.catalog.profile import load_profile
from models.catalog.source import WeightFile
from models.roles import INPAINTING, MATTING, Models
from models.weights.cache import WeightsCache
from server.settings import Settings

_PHOTOS = Path(__file__).parents[1] / "docs" / "photos"


def greeting(settings: Settings, port: int, models: Models, *, needs_token: bool) -> str:
    """Return the text. The command is complete if the server is in a checkout and needs no token.

    It puts a picture into the folder in which it is called. port: on which the server listens. models: those
    of the profile. needs_token: whether only known tokens are valid.
    """
    address = f"http://{_reachable(settings.host)}:{port}"
    if not _PHOTOS.is_dir():  # an image without the documentation
        return f"ready on {address}"
    token = "YOUR_TOKEN" if needs_token else "me"
    files = {"file": "astronaut.jpg"}
    if models.offers(MATTING):
        route, result = "background/remove", "cutout.png"
    elif models.offers(INPAINTING):
        route, result = "eraser", "erased.png"
        files["mask_file"] = "astronaut-mask.png"
    else:
        return f"ready on {address}"
    fields = " ".join(f"-F {shlex.quote(f'{n}=@{_PHOTOS / file}')}" for n, file in files.items())
    call = f"curl -H 'api_token: {token}' -H 'Accept: image/png' {fields} {address}/v1/{route}"
    return f"ready on {address}; to try it:\n\n    {call} -o {result}\n"


def better_profile(settings: Settings) -> str | None:
    """Return a line about profile `cpu` for the first start with `lite`; None at any other start.

    It is the first start if a weight file of `lite` is not there yet.
    """
    if settings.profile != "lite":
        return None
    cache = WeightsCache(settings.weights_dir, settings.models_dir)
    if all(
        cache.path(part).exists() for card in load_profile("lite").values() for part in card.parts
    ):
        return None
    cards = load_profile("cpu").values()
    parts = {part for card in cards for part in card.parts}
    more_than = "more than " * any(card.has_unknown_size for card in cards)
    size = sum((part.size or 0) / 2**20 for part in parts if isinstance(part, WeightFile))
    return (
        "RETOUCH_PROFILE=cpu makes better pictures on the same machine, without a GPU;"
        f" its first start downloads {more_than}{size:,.0f} MiB of weights (docs/models.md)"
    )


def _reachable(host: str) -> str:
    """Return the host of an address on this machine; `host` may mean every address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"
