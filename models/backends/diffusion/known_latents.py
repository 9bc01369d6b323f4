"""Latents that stay what they are outside a hole, while a diffusion pipeline generates inside it.

After each step, what is outside becomes the given picture again, with the noise of the next step
(O. Avrahami et al., "Blended Latent Diffusion", 2023).
"""

from typing import Any

import torch

from models.backends.diffusion import diffusion


class KnownLatents:
    """The state of one call: its noise, and what it is added to.

    latents: 1 x channels x height x width, of the whole picture. keep: 1 x 1 x height x width, True
    where they stay. begun: whether the call begins from them, with the noise of its first step on
    top, and not from noise alone.
    """

    def __init__(self, latents: torch.Tensor, keep: torch.Tensor, *, begun: bool) -> None:
        self._latents = latents
        self._keep = keep
        self._begun = begun
        self._noise = torch.zeros_like(latents)

    def begin(self, scheduler: Any, initial: torch.Tensor) -> torch.Tensor:
        """Return what to begin from. initial: the pipeline's own initial latents, noise alone."""
        self._noise = initial / scheduler.init_noise_sigma
        if not self._begun:
            return initial
        return self._with_noise(scheduler, scheduler.timesteps[:1])

    def after_step(
        self, pipe: Any, step: int, time: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Restore what is known; a function for `callback_on_step_end`.

        Raises WorkCancelledError if nobody waits any more.
        """
        latents = tensors["latents"]
        following = pipe.scheduler.timesteps[step + 1 : step + 2]
        known = self._with_noise(pipe.scheduler, following) if len(following) else self._latents
        restored = torch.where(self._keep, known.to(latents.dtype), latents)
        return diffusion.check_deadline(pipe, step, time, {"latents": restored})

    def _with_noise(self, scheduler: Any, timestep: torch.Tensor) -> torch.Tensor:
        noisy: torch.Tensor = scheduler.add_noise(
            self._latents.expand_as(self._noise), self._noise, timestep
        )
        return noisy
