"""The first calls of a model when it is loaded at the start, so that no caller pays for what they prepare."""

import logging
import math
import time
from typing import Any

from imaging.resize import Size, SizeRule, working_size
from models.device import DeviceConfig
from models.roles import Role
from models.runtime.oom_retry import is_out_of_memory

log = logging.getLogger("retouch.models")

_SHAPES = ((1024, 1024), (1536, 1024), (1024, 1536))
"""Width and height of a square, a landscape and a portrait, which most requests are near to."""


def first_sizes(sizes: SizeRule, device: str) -> list[Size]:
    """Return the sizes, width and height, at which a generative model makes its first pictures.

    device: torch's name. On a GPU the model's own area as square, landscape and portrait: libraries choose
    and compile their kernels by size. On the CPU one small picture, which runs all the code.
    """
    if not device.startswith("cuda"):
        side = math.ceil(sizes.least / sizes.multiple) * sizes.multiple
        return [(side, side)]
    return list(dict.fromkeys(working_size(*shape, sizes) for shape in _SHAPES))


def make_first_calls(role: Role[Any], model: Any, card: str, config: DeviceConfig) -> None:
    """Call a model as its role says (`Role.warm_up`, `Role.generate_once`), and log how long each picture takes.

    card: its name, for the log. A picture that memory does not suffice for is left out: requests for that
    size are then made with less. Raises the model's errors.
    """
    if role.warm_up is not None:
        role.warm_up(model)
    if role.generate_once is None:
        return
    for width, height in first_sizes(model.sizes, config.device):
        start = time.monotonic()
        try:
            role.generate_once(model, (width, height))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.warning("%s: too little memory for a first picture of %d x %d", card, width, height)
        else:
            seconds = time.monotonic() - start
            log.info("%s: first picture of %d x %d in %.1f s", card, width, height, seconds)
