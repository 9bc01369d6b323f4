"""Colour correction of a filled hole, without steps at its edge or between the copied pieces.

The method is gradient-domain editing (Perez, Gangnet and Blake, "Poisson Image Editing", SIGGRAPH
2003) with a screening term. The fill takes the gradients of the copied pixels and matches the known
pixels at the edge. Further inside it returns to its own colours, so that colours do not drift
across a large hole.
"""

import numpy as np
from numpy.typing import NDArray

from imaging.inpaint.nearest_neighbour_field import Field
from imaging.picture import Mask, Rgb

_REACH = 20.0  # pixels over which a correction fades
_EDGE = 24.0  # a larger step, in levels of 0..255, counts as a real edge and stays
_ITERATIONS = 60


def correct_colours(filled: Rgb, field: Field, source: Mask, hole: Mask) -> Rgb:
    """Return `filled` with the colours of its hole corrected. Every other pixel stays unchanged.

    field: the source of each pixel of the hole. hole, source: height x width, True inside.
    """
    values = filled.astype(np.float32)
    steps = [_missing_steps(values, field, source, hole, axis) for axis in (0, 1)]
    correction = _solve(steps, source | hole, hole)
    out = filled.copy()
    out[hole] = np.rint((values + correction)[hole].clip(0, 255))
    return out


def _missing_steps(
    values: NDArray[np.float32], field: Field, source: Mask, hole: Mask, axis: int
) -> NDArray[np.float32]:
    """Return the step to the next pixel along `axis` in the sources, minus the same step in `values`.

    The last row or column has no next one and is left out.
    """
    size = hole.shape
    count = size[axis] - 1
    near = tuple(slice(0, count) if a == axis else slice(None) for a in (0, 1))
    far = tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
    wanted = np.zeros((*hole[near].shape, 3), np.float32)
    votes = np.zeros(hole[near].shape, np.float32)
    usable = source | hole
    for side, sign in ((near, 1), (far, -1)):
        y, x = np.nonzero(hole[side] & usable[near] & usable[far])
        at_y, at_x = y + (axis == 0) * (sign < 0), x + (axis == 1) * (sign < 0)
        from_y, from_x = at_y + field[at_y, at_x, 0], at_x + field[at_y, at_x, 1]
        to_y = from_y + (sign if axis == 0 else 0)
        to_x = from_x + (sign if axis == 1 else 0)
        good = (to_y >= 0) & (to_y < size[0]) & (to_x >= 0) & (to_x < size[1])
        good[good] &= source[to_y[good], to_x[good]]
        y, x, from_y, from_x, to_y, to_x = (a[good] for a in (y, x, from_y, from_x, to_y, to_x))
        wanted[y, x] += sign * (values[to_y, to_x] - values[from_y, from_x])
        votes[y, x] += 1
    missing = wanted / np.maximum(votes, 1)[..., None] - (values[far] - values[near])
    missing[votes == 0] = 0
    size_of_step = np.abs(missing).max(axis=-1, keepdims=True)
    damped: NDArray[np.float32] = missing / (1 + (size_of_step / _EDGE) ** 2)
    return damped


def _solve(steps: list[NDArray[np.float32]], usable: Mask, hole: Mask) -> NDArray[np.float32]:
    """Return the correction with steps closest to `steps`. It is zero outside the hole.

    The method is conjugate gradients on the screened Poisson equation, for all channels at once.
    """
    links = [
        ((usable[:-1] & usable[1:]) & (hole[:-1] | hole[1:]))[..., None].astype(np.float32),
        ((usable[:, :-1] & usable[:, 1:]) & (hole[:, :-1] | hole[:, 1:]))[..., None].astype(
            np.float32
        ),
    ]
    inside = hole[..., None].astype(np.float32)

    def gather(down: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        total = np.zeros((*hole.shape, 3), np.float32)
        total[1:] += down
        total[:-1] -= down
        total[:, 1:] += right
        total[:, :-1] -= right
        return total * inside

    def operator(c: NDArray[np.float32]) -> NDArray[np.float32]:
        smooth = gather((c[1:] - c[:-1]) * links[0], (c[:, 1:] - c[:, :-1]) * links[1])
        return smooth + c * np.float32(_REACH**-2)

    solution = np.zeros((*hole.shape, 3), np.float32)
    residual = gather(steps[0] * links[0], steps[1] * links[1])
    direction = residual.copy()
    energy = (residual**2).sum(axis=(0, 1))
    for _ in range(_ITERATIONS):
        if not (energy > 1e-3).any():
            break
        image = operator(direction)
        length = energy / np.maximum((direction * image).sum(axis=(0, 1)), 1e-12)
        solution += length * direction
        residual -= length * image
        before, energy = energy, (residual**2).sum(axis=(0, 1))
        direction = residual + energy / np.maximum(before, 1e-12) * direction
    return solution
