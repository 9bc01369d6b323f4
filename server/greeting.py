"""What the server says once it is ready: its address, and a command that calls it."""

import ipaddress
import shlex
from pathlib import Path

from models.roles import MATTING, Models
from server.settings import Settings

_PHOTO = Path(__file__).parents[1] / "docs" / "photos" / "astronaut.jpg"


def greeting(settings: Settings, port: int, models: Models) -> str:
    """Return the text. The command is complete if the server is in a checkout and needs no token.

    port: on which it listens. models: those of the profile.
    """
    address = f"http://{_reachable(settings.host)}:{port}"
    if not _PHOTO.is_file():  # an image without the documentation
        return f"ready on {address}"
    token = "YOUR_TOKEN" if settings.api_tokens else "me"
    route = "background/remove" if models.offers(MATTING) else "register"
    photo = shlex.quote(f"file=@{_PHOTO}")
    command = f"curl -H 'api_token: {token}' -F {photo} {address}/v1/{route}"
    return f"ready on {address}; to try it:\n\n    {command}\n"


def _reachable(host: str) -> str:
    """Return the host of an address on this machine; `host` may mean every address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"
