"""What the benchmark is to reach, in the order of importance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One target. wanted: the least value, or with `most` the largest. unit: behind the value."""

    name: str
    wanted: float
    most: bool = False
    unit: str = ""

    def reached(self, value: float) -> bool:
        """Whether a measured value is good enough."""
        return value <= self.wanted if self.most else value >= self.wanted

    def line(self, value: float | None, real: bool) -> str:
        """Return the row of the table; value: None if it was not measured. real: whether it is of a GPU."""
        wanted = f"{'at most' if self.most else 'at least'} {self.wanted:g}{self.unit}"
        if value is None:
            return f"| {self.name} | {wanted} | not measured | |"
        reached = ("yes" if self.reached(value) else "no") if real else "not a measurement"
        return f"| {self.name} | {wanted} | {value:.3g}{self.unit} | {reached} |"


SDXL = Target(
    "SDXL inpainting, 1024x1024, batch 1, 30 steps with guidance, VAE included: times as fast as diffusers"
    " in bfloat16",
    1.7,
)
SDXL_FLOOR = Target("the same: its time against its floor", 1.35, most=True)
MATTING = Target("matting: pictures a second in the best batch, against batch 1 in eager mode", 3.0)
MASKS = Target("automatic masks: times as fast as segment-anything with its defaults", 2.5)
SAME_MASKS = Target("the same masks: pixels in the same object", 99.0, unit=" %")
SERVER = Target("server end to end: time over the bare pipeline", 5.0, most=True, unit=" %")
TARGETS = (SDXL, SDXL_FLOOR, MATTING, MASKS, SAME_MASKS, SERVER)
