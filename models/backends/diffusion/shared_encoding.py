"""Pipelines for inpainting that encode a picture once, however many results are made of it."""

from collections.abc import Sequence
from typing import Any

import diffusers
import torch

from models.backends.diffusion import diffusion

_Sdxl: Any = diffusers.StableDiffusionXLInpaintPipeline  # untyped
_Sd: Any = diffusers.StableDiffusionInpaintPipeline  # untyped


class _SharedEncoding:
    """Makes the latents of one picture for all seeds of a call.

    diffusers' own method runs the VAE once for each seed. What it draws from the VAE's distribution is
    the same here. encoded: the pictures of this call, each with its distribution; without it nothing
    is kept.
    """

    vae: Any
    encoded: list[tuple[torch.Tensor, Any]] | None = None

    def _encode_vae_image(
        self, image: torch.Tensor, generator: Sequence[torch.Generator]
    ) -> torch.Tensor:
        """Return the latents of one picture, 1 x 3 x height x width, for each generator."""
        distribution = self._distribution(image)
        latents = torch.cat([distribution.sample(one) for one in generator])
        scaled: torch.Tensor = latents.to(image.dtype) * self.vae.config.scaling_factor
        return scaled

    def _distribution(self, image: torch.Tensor) -> Any:
        encoded = [] if self.encoded is None else self.encoded
        for known, found in encoded:
            if torch.equal(known, image):
                return found
        with diffusion.without_overflow(self.vae) as vae:
            found = vae.encode(image.to(vae.dtype)).latent_dist
        encoded.append((image, found))
        return found


class SdxlInpaint(_SharedEncoding, _Sdxl):  # type: ignore[misc]
    """SDXL's pipeline for inpainting."""


class SdInpaint(_SharedEncoding, _Sd):  # type: ignore[misc]
    """Stable Diffusion's pipeline for inpainting."""
