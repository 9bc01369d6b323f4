"""What all parts of the benchmark share: the run, the weights, the pictures."""

import gc
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from imaging.picture import Mask, Rgb
from models.device import DeviceConfig
from scripts.gpu_benchmark.measure import Run
from scripts.gpu_benchmark.rivals import Sample
from scripts.gpu_benchmark.weights import PARTS

ROOT = Path(__file__).parents[2]


@dataclass
class Bench:
    """The run and what it measures with. gpu: without one, tiny models run on the processor."""

    run: Run
    folder: Path
    gpu: bool
    made: set[str] = field(default_factory=set)

    @property
    def device(self) -> str:
        """torch's name of the device."""
        return "cuda:0" if self.gpu else "cpu"

    @property
    def side(self) -> int:
        """Return the side of a picture in pixels."""
        return 1024 if self.gpu else 64

    def config(self, dtype: str = "float16") -> DeviceConfig:
        """Return the configuration of a backend; on the processor always float32."""
        return DeviceConfig(self.device, dtype) if self.gpu else DeviceConfig()

    def dtype(self, name: str) -> torch.dtype:
        """Return a dtype by name; on the processor always float32."""
        kind: torch.dtype = getattr(torch, name) if self.gpu else torch.float32
        return kind

    def weights(self, name: str) -> Path:
        """Return the folder of a part of `weights.PARTS`, made at its first use."""
        target = self.folder / name
        if name not in self.made:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            part = PARTS[name]
            if self.gpu and part.full is None:
                raise RuntimeError(part.why)
            if self.gpu and part.full is not None:
                part.full(target, "cuda")
            else:
                part.tiny(target)
            self.made.add(name)
            self.release()
        return target

    def photo(self, number: int, side: int | None = None) -> Rgb:
        """Return a photograph that differs from those of other numbers in some pixels."""
        side = side or self.side
        with Image.open(ROOT / "docs" / "photos" / "astronaut.jpg") as photo:
            rgb = np.array(photo.convert("RGB").resize((side, side)), np.uint8)
        rgb[:8, :8] = (37 * (number + 2)) % 256
        return rgb

    def hole(self, side: int | None = None) -> Mask:
        """Return a hole of a ninth in the middle."""
        side = side or self.side
        hole = np.zeros((side, side), np.bool_)
        hole[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = True
        return hole

    def sample(self, number: int) -> Sample:
        """Return the input of a backend and of the package that it is compared with."""
        return Sample(self.photo(number), self.hole())

    def release(self) -> None:
        """Free the memory of unused models."""
        gc.collect()
        if self.gpu:
            torch.cuda.empty_cache()
