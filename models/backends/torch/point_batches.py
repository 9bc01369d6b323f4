"""How many prompt points SAM and SAM 2 get at once, and how many of their masks are enlarged at once."""

import torch

BATCH_CPU = 8
BATCHES_GPU = (1024, 512, 256, 128, 64)
"""The largest that fits is used. The first is the whole grid of 32 x 32 points."""
POINT_BYTES = 32 * 2**20
"""Memory of one point while the decoder runs in float32. Its largest arrays are the picture's features, 4 MiB
at 64 x 64, which it repeats for each point."""
MASKS_AT_ONCE = 64
"""Masks that are enlarged to the picture's size at once; at 1.5 megapixels each takes 6 MB as float32."""


def points_at_once(device: torch.device) -> int:
    """Return the points of a batch: on a GPU the largest of BATCHES_GPU that half of the free memory holds.

    The other half is left to what is allocated meanwhile. It is at least the smallest one.
    """
    if device.type != "cuda":
        return BATCH_CPU
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    fitting = (size for size in BATCHES_GPU if size * POINT_BYTES <= free // 2)
    return next(fitting, BATCHES_GPU[-1])
