"""Times profile `open` on a GPU without its weights: every route, and the parts of one generation.

The networks have their real sizes and random weights, so times are as with trained ones and pictures are noise.
Without a CUDA device it runs tiny models, only to test this code.
"""

import argparse
import gc
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from PIL import Image
from starlette.testclient import TestClient

from imaging.picture import Mask, Rgb
from models import roles
from models.backends.diffusion import diffusion
from models.backends.diffusion.sdxl_pipeline import Adapters
from models.backends.matting_input import to_full_size
from models.backends.torch.birefnet import BiRefNet
from models.device import DeviceConfig
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from scripts.gpu_benchmark.weights import PARTS, make_birefnet
from server.app import create_app
from server.settings import Settings

ROOT = Path(__file__).parents[2]
_PROFILE = """base = "open"
face_analysis = false
face_editing = false
instruction_editing = false
moderation = "falconsai-nsfw"
"""
"""`open`, with the classifier whose network transformers has; faces need files of their publishers.
Edits by words are left out: nothing stands in yet for klein's 16 GB."""
_PLACES = {
    "cards.big-lama": "lama/lama.safetensors",
    "cards.realesrgan-x4plus-torch": "upscaler/x4.safetensors",
    "cards.sam-vit-huge": "sam/sam.safetensors",
    'repos."ZhengPeng7/BiRefNet"': "birefnet",
    'repos."Falconsai/nsfw_image_detection"': "nsfw",
    'repos."Salesforce/blip-image-captioning-large"': "captioner",
    'repos."Qwen/Qwen3-4B-Instruct-2507"': "refiner",
    'repos."diffusers/stable-diffusion-xl-1.0-inpainting-0.1"': "sdxl",
    'repos."latent-consistency/lcm-lora-sdxl"': "lora",
    'repos."h94/IP-Adapter"': "ip_adapter",
}
"""Where each card finds the part of `weights` that stands in for its weights."""
_ROLES = {
    "lama": "inpainting",
    "upscaler": "super_resolution",
    "sam": "segmentation",
    "birefnet": "matting",
    "nsfw": "moderation",
    "captioner": "captioning",
    "refiner": "prompt_refinement",
}
"""The role that is left out if a part cannot be made."""
_PROMPT = "a red wooden boat on a calm lake at sunrise"
_GAP_S = 2.0


@dataclass(frozen=True)
class Row:
    """One measurement: milliseconds of each call, and its peak of GPU memory above the weights, in MiB."""

    section: str
    name: str
    times: tuple[float, ...] = ()
    peak: int = 0
    note: str = ""

    def line(self) -> str:
        """Return the row of a table."""
        if not self.times:
            return f"| {self.name} | {self.note} | | | |"
        median = statistics.median(self.times)
        return (
            f"| {self.name} | {median:.1f} | {min(self.times):.1f} to {max(self.times):.1f} ({len(self.times)})"
            f" | {self.peak or ''} | {self.note} |"
        )


class Run:
    """Measures rows until the time is over, and stores each one at once, so that nothing is lost."""

    def __init__(self, page: Path, seconds: float, gpu: bool) -> None:
        self._page = page
        self._end = time.monotonic() + seconds
        self._gpu = gpu
        self._section = ""
        page.write_text("")

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()

    def say(self, text: str) -> None:
        """Print a line, and write it into the page."""
        print(f"{text}   <{self.left:.0f} s left>", flush=True)
        with self._page.open("a") as page:
            page.write(text + "\n")

    def row(
        self,
        section: str,
        name: str,
        work: Callable[[Any], object],
        rounds: int = 5,
        given: Callable[[int], Any] = int,
    ) -> float:
        """Measure one row. Return the median in ms; NaN if it failed or there was no time.

        work: gets what `given` makes, outside the time, of the number of the call: no two calls need be alike.
        """
        if section != self._section:
            self._section = section
            self.say(f"\n### {section}\n")
            self.say(
                "| what | median, ms | from to (calls) | working memory, MiB | |\n|---|---|---|---|---|"
            )
        try:
            row = self._measured(section, name, work, rounds, given)
        except Exception as error:
            text = (str(error).strip() or "no text").splitlines()[0][:200]
            row = Row(section, name, note=f"failed: {type(error).__name__}: {text}")
        self.say(row.line())
        return statistics.median(row.times) if row.times else float("nan")

    def _measured(
        self,
        section: str,
        name: str,
        work: Callable[[Any], object],
        rounds: int,
        given: Callable[[int], Any],
    ) -> Row:
        if self.left < _GAP_S:
            return Row(section, name, note="not measured: no time left")
        if self._gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if self._gpu else 0
        first = self._timed(work, given(-1))
        peak = (torch.cuda.max_memory_allocated() - before) >> 20 if self._gpu else 0
        times: list[float] = []
        while len(times) < rounds and (not times or self.left > first / 1000):
            times.append(self._timed(work, given(len(times))))
        return Row(section, name, tuple(times), peak)

    def _timed(self, work: Callable[[Any], object], given: Any) -> float:
        start = time.perf_counter()
        work(given)
        if self._gpu:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1000


@dataclass(frozen=True)
class Bench:
    """What the measurements share. side: of the pictures; device: `cuda:0`, or `cpu` with tiny models."""

    run: Run
    pool: Pool
    client: TestClient
    folder: Path
    side: int
    gpu: bool

    def photo(self, number: int, side: int | None = None) -> Rgb:
        """Return a photograph that differs from those of other numbers in some pixels."""
        side = side or self.side
        with Image.open(ROOT / "docs" / "photos" / "astronaut.jpg") as photo:
            rgb = np.array(photo.convert("RGB").resize((side, side)), np.uint8)
        rgb[:8, :8] = (37 * (number + 2)) % 256
        return rgb

    def hole(self) -> Mask:
        """Return a hole of a ninth in the middle."""
        hole = np.zeros((self.side, self.side), np.bool_)
        hole[self.side // 3 : 2 * self.side // 3, self.side // 3 : 2 * self.side // 3] = True
        return hole

    @contextmanager
    def use(self, role: Any) -> Iterator[Any]:
        """Yield the model of a role."""
        with self.pool.use(role) as model:
            yield model


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the weights, start the server and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="time for all (default: 10)")
    parser.add_argument("--page", type=Path, required=True, help="file for the tables")
    parser.add_argument("--folder", type=Path, help="folder for the weights: needs 25 GB")
    parser.add_argument(
        "--matting-code", type=Path, help="folder with the code of BiRefNet's repository"
    )
    parser.add_argument("--only", nargs="*", metavar="PART", help="parts to measure, by name")
    chosen = parser.parse_args(arguments)
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    gpu = torch.cuda.is_available()
    run = Run(chosen.page, chosen.minutes * 60, gpu)
    run.say(_machine(gpu))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        failed = _make_weights(run, folder, gpu, chosen.matting_code)
        pool = _pool(run, folder, gpu, failed)
        settings = Settings(
            data_dir=folder / "data", api_tokens="gpu:gpu", requests_per_minute=0, workers=8
        )
        app = create_app(settings, LocalEngine(pool))
        with TestClient(app, headers={"api_token": "gpu"}) as client:
            bench = Bench(run, pool, client, folder, 1024 if gpu else 64, gpu)
            for part in _PARTS:
                if chosen.only and part.__name__.removeprefix("_") not in chosen.only:
                    continue
                try:
                    part(bench)
                except Exception as error:  # the rest is still worth its time
                    run.say(f"{part.__name__} failed: {type(error).__name__}: {error}")
                gc.collect()
    return 0


def _machine(gpu: bool) -> str:
    libraries = f"torch {torch.__version__}, transformers {transformers.__version__}"
    if not gpu:
        return f"Tiny models on the processor, not a measurement. {libraries}"
    total = torch.cuda.get_device_properties(0).total_memory >> 20
    return f"{torch.cuda.get_device_name()}, {total} MiB, {libraries}, CUDA {torch.version.cuda}"


def _make_weights(run: Run, folder: Path, gpu: bool, code: Path | None) -> set[str]:
    """Make each part. Return the names of those that failed."""
    failed = set()
    for place in _PLACES.values():
        name = place.partition("/")[0]
        part, target = PARTS[name], folder / name
        target.mkdir()
        start = time.perf_counter()
        try:
            if name == "birefnet" and code is not None and gpu:
                make_birefnet(target, code)
            elif gpu and part.full is not None:
                part.full(target, "cuda")
            else:
                part.tiny(target)
        except Exception as error:
            if name not in _ROLES:
                raise
            failed.add(name)
            run.say(f"weights of {name} failed: {type(error).__name__}: {error}")
        _release(gpu)
        run.say(f"weights of {name}: {time.perf_counter() - start:.1f} s")
    return failed


def _release(gpu: bool) -> None:
    gc.collect()
    if gpu:
        torch.cuda.empty_cache()


def _pool(run: Run, folder: Path, gpu: bool, failed: set[str]) -> Pool:
    rows = [
        f'[{table}]\npath = "{_place(folder, place)}"\n'
        for table, place in _PLACES.items()
        if place.partition("/")[0] not in failed
    ]
    profile = folder / "random.toml"
    without = "".join(f"{_ROLES[name]} = false\n" for name in failed)
    head = "".join(
        line + "\n"
        for line in _PROFILE.splitlines()
        if line.partition(" ")[0] not in {_ROLES[name] for name in failed}
    )
    profile.write_text(head + without + "".join(rows))
    pool = Pool.for_profile(str(profile), folder / "weights", threads=8)
    start = time.perf_counter()
    for role in pool.profile:
        before = time.perf_counter()
        held = torch.cuda.memory_allocated() if gpu else 0
        try:
            with pool.use(role):
                spent = time.perf_counter() - before
        except Exception as error:
            run.say(f"{role} does not load: {type(error).__name__}: {error}")
            continue
        held = (torch.cuda.memory_allocated() - held) >> 20 if gpu else 0
        run.say(f"load {role}: {spent:.1f} s, {held} MiB of GPU memory")
    run.say(f"load all: {time.perf_counter() - start:.1f} s")
    if gpu:
        run.say(f"GPU memory of all weights: {torch.cuda.memory_allocated() >> 20} MiB")
    try:
        pool.warm_up()
    except Exception as error:
        run.say(f"warm-up: {type(error).__name__}: {error}")
    run.say(f"load and warm-up: {time.perf_counter() - start:.1f} s")
    return pool


def _place(folder: Path, place: str) -> Path:
    """Return the path of a part: the tiny ones have other file names."""
    path = folder / place
    if path.exists():
        return path
    return next(
        file for file in path.parent.iterdir() if file.suffix in (".safetensors", ".pt", ".pth")
    )


def _png(rgb: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "PNG", compress_level=1)
    return data.getvalue()


def _jpeg(rgb: Rgb) -> bytes:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=92)
    return data.getvalue()


def _post(bench: Bench, path: str, photo: bytes, mask: bool = False, **fields: str) -> Any:
    files = {"file": photo}
    if mask:
        files["mask_file"] = _png(bench.hole().view(np.uint8) * 255)
    answer = bench.client.post(f"/v1/{path}", files=files, data={"sync": "true", **fields})
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code} {answer.text[:150]}")
    return answer.json()


_Route = tuple[str, str, bool, dict[str, str], int]
"""Name, path, whether it sends a mask, fields, and number of calls."""


def _generated() -> list[_Route]:
    """Return the routes that make pictures from a prompt."""
    scene = {"bg_prompt": _PROMPT, "seed": "5"}
    fill = {"prompt": _PROMPT, "seed": "5"}
    return [
        (
            "background/replace, as sent by default: 4 results",
            "background/replace",
            False,
            scene,
            3,
        ),
        (
            "background/replace, 1 result",
            "background/replace",
            False,
            {**scene, "num_results": "1"},
            5,
        ),
        (
            "background/replace, 1 result, refine_prompt=false",
            "background/replace",
            False,
            {**scene, "num_results": "1", "refine_prompt": "false"},
            5,
        ),
        (
            "background/replace, 1 result, fast=false, refine_prompt=false",
            "background/replace",
            False,
            {**scene, "num_results": "1", "refine_prompt": "false", "fast": "false"},
            3,
        ),
        ("gen_fill, 1 result", "gen_fill", True, {**fill, "num_results": "1"}, 5),
        ("gen_fill, 4 results", "gen_fill", True, {**fill, "num_results": "4"}, 3),
    ]


def _edited(side: int) -> list[_Route]:
    """Return the other routes."""
    canvas = {
        "canvas_size": str([side * 5 // 4, side]),
        "original_image_size": str([side, side]),
        "original_image_location": "[0,0]",
        "prompt": _PROMPT,
    }
    small = str(side // 2)
    return [
        ("background/remove", "background/remove", False, {}, 7),
        ("image_expansion by a quarter", "image_expansion", False, canvas, 3),
        (
            "image/increase_resolution, 512x512, x2",
            "image/increase_resolution?desired_increase=2",
            False,
            {"side": small},
            3,
        ),
        (
            "image/increase_resolution, 512x512, x4",
            "image/increase_resolution?desired_increase=4",
            False,
            {"side": small},
            3,
        ),
        ("objects/mask_generator", "objects/mask_generator", False, {}, 3),
    ]


def _routes(bench: Bench) -> None:
    section = f"Routes over HTTP in one process, {bench.side}x{bench.side} unless said"
    for name, path, mask, fields, rounds in (*_generated(), *_edited(bench.side)):
        side = int(fields.pop("side", bench.side))
        bench.run.row(
            section,
            name,
            partial(_send, bench, path, mask, fields),
            rounds,
            partial(_sent, bench, side),
        )


def _send(bench: Bench, path: str, mask: bool, fields: dict[str, str], photo: bytes) -> object:
    return _post(bench, path, photo, mask, **fields)


def _sent(bench: Bench, side: int, number: int) -> bytes:
    return _jpeg(bench.photo(number, side))


def _sent_together(bench: Bench, count: int, number: int) -> list[bytes]:
    return [_sent(bench, bench.side, number * count + one) for one in range(count)]


def _scenes(scene: Any, alpha: Any, seeds: Sequence[int], rgb: Rgb) -> object:
    return scene.scenes(rgb, alpha, _PROMPT, "", seeds, fast=True)


def _ignoring(work: Callable[[Any], object], given: Any, number: int) -> object:
    """Do the same work in every call, whatever its number."""
    return work(given)


def _backends(bench: Bench) -> None:
    section = f"Models alone, {bench.side}x{bench.side} unless said"
    hole = bench.hole()
    alpha = 1 - hole.astype(np.float32)

    def row(name: str, work: Callable[[Rgb], object], rounds: int, side: int = bench.side) -> None:
        bench.run.row(section, name, work, rounds, partial(bench.photo, side=side))

    with bench.use(roles.SCENE_GENERATION) as scene:
        for count in (1, 4):
            seeds = list(range(count))
            row(
                f"SdxlScene, LCM LoRA, 8 steps, {count} seeds",
                partial(_scenes, scene, alpha, seeds),
                4,
            )
        row(
            "SdxlScene with a reference picture (IP-Adapter), 1 seed",
            lambda rgb: scene.scenes(rgb, alpha, "", "", [1], fast=True, reference=rgb),
            3,
        )
    with bench.use(roles.OUTPAINTING) as outpaint:
        row(
            "SdxlOutpaint, 20 steps, guidance 8",
            lambda rgb: outpaint.outpaint(rgb, hole, _PROMPT, "", 1),
            3,
        )
    with bench.use(roles.PROMPT_REFINEMENT) as refiner:
        row("Refiner, Qwen3-4B, up to 96 tokens", lambda rgb: refiner.refine(_PROMPT), 4)
    with bench.use(roles.SUPER_RESOLUTION) as upscaler:
        half = bench.side // 2
        row("Upscaler, x2, half the side", lambda rgb: upscaler.upscale(rgb, 2), 4, half)
        row("Upscaler, x4, half the side", lambda rgb: upscaler.upscale(rgb, 4), 4, half)
        row("Upscaler, x2", lambda rgb: upscaler.upscale(rgb, 2), 3)
    with bench.use(roles.SEGMENTATION) as sam:
        row("Sam, ViT-H, 32 x 32 points", sam.segment, 3)
    with bench.use(roles.CAPTIONING) as captioner:
        row("Captioner, BLIP-large", captioner.caption, 4)
    with bench.use(roles.MODERATION) as nsfw:
        row("NsfwClassifier, ViT-base", nsfw.score, 7)


def _eraser(bench: Bench) -> None:
    section = f"Eraser: LaMa, {bench.side}x{bench.side}"
    hole = bench.hole()
    sent = partial(_sent, bench, bench.side)
    with bench.use(roles.INPAINTING) as eraser:
        fill = partial(eraser.fill, hole=hole)
        bench.run.row(section, "Lama, hole of a ninth", fill, 7, bench.photo)
    bench.run.row(section, "eraser", partial(_send, bench, "eraser", True, {}), 7, sent)
    erase = partial(_send, bench, "erase_foreground", False, {})
    bench.run.row(section, "erase_foreground", erase, 3, sent)


def _matting(bench: Bench) -> None:
    section = "Matting: BiRefNet at 1024x1024"
    row = bench.run.row
    with bench.use(roles.MATTING) as matting:
        for count in (1, 2, 4, 8):
            pictures = [bench.photo(number) for number in range(count)]
            calls: list[Any] = [((rgb,), {}) for rgb in pictures]
            spent = row(
                section,
                f"batch of {count}: reading, network, refinement",
                partial(_ignoring, matting.predict_batch, calls),
                5,
            )
            tensors = torch.from_numpy(
                np.concatenate([matting._input.tensor(rgb) for rgb in pictures])
            )
            network = row(
                section,
                f"batch of {count}: the network alone",
                partial(_ignoring, partial(_matte, matting), tensors),
                8,
            )
            bench.run.say(
                f"<!-- a picture: {spent / count:.1f} ms, of these {network / count:.1f} the network -->"
            )
        rgb = bench.photo(0)
        matte = matting._run([rgb])[0]
        row(section, "processor: reading 1 MP", lambda n: matting._input.tensor(rgb), 8)
        row(section, "processor: refinement 1 MP", lambda n: to_full_size(rgb, matte), 8)
        large = bench.photo(0, 3464 if bench.gpu else 128)
        row(section, "processor: reading 12 MP", lambda n: matting._input.tensor(large), 5)
        row(section, "processor: refinement 12 MP", lambda n: to_full_size(large, matte), 5)
    if bench.gpu and bench.run.left > 60:
        exact = BiRefNet.load([bench.folder / "birefnet"], DeviceConfig("cuda:0", "float32"))
        row(
            section,
            "batch of 1: the network alone, float32",
            lambda n: _matte(exact, tensors[:1]),
            5,
        )


def _matte(model: Any, tensors: torch.Tensor) -> object:
    half = torch.autocast(model._module.device.type, torch.float16, enabled=model._half)
    with model._module.on_device() as network, half:
        return network(tensors.to(model._module.device))


def _inputs(pipe: Any, count: int) -> dict[str, Any]:
    """Return random inputs of one step of a UNet, without guidance."""
    config = pipe.unet.config
    first = next(pipe.unet.parameters())
    to = {"device": first.device, "dtype": first.dtype}
    side = config.sample_size
    words = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return {
        "sample": torch.randn(count, config.in_channels, side, side, **to),
        "timestep": torch.full((count,), 500, device=first.device),
        "encoder_hidden_states": torch.randn(count, 77, config.cross_attention_dim, **to),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(count, words, **to),
            "time_ids": torch.full((count, 6), 1024, **to),
        },
        "return_dict": False,
    }


_STEP = "One step of SDXL's UNet, 1024x1024, float16, without guidance"


def _step(bench: Bench, name: str, pipe: Any, counts: Sequence[int] = (1, 2, 4)) -> None:
    """Measure one step of a UNet as it is."""
    for count in counts:
        given = _inputs(pipe, count)

        def eager(number: int, given: dict[str, Any] = given) -> object:
            with torch.inference_mode():
                return pipe.unet(**given)

        bench.run.row(_STEP, f"{name}, batch {count}", eager, 15)


def _graph(bench: Bench, name: str, pipe: Any, counts: Sequence[int]) -> None:
    """Measure one step of a UNet as a CUDA graph."""
    for count in counts:
        given = _inputs(pipe, count)
        if not bench.gpu or bench.run.left < 10:
            return
        try:
            graph = _captured(partial(pipe.unet, **given))
        except Exception as error:
            bench.run.say(f"no graph of {name}, batch {count}: {type(error).__name__} {error}")
            continue
        bench.run.row(
            f"{_STEP}, as a CUDA graph",
            f"{name}, batch {count}",
            partial(_ignoring, torch.cuda.CUDAGraph.replay, graph),
            15,
        )
        del graph


def _graphs(bench: Bench) -> None:
    with bench.use(roles.GENERATIVE_FILL) as fill:
        pipeline, adapters = fill._pipeline, fill._adapters
        lcm = pipeline._pipes[adapters]
        _graph(bench, "plain", pipeline._pipes[Adapters()], (1, 2, 4))
        _graph(bench, "LCM LoRA beside the weights", lcm, (1, 4))
        lcm.unet.fuse_lora()
        _graph(bench, "LCM LoRA fused into the weights", lcm, (1,))
        lcm.unet.unfuse_lora()


def _captured(work: Callable[[], object]) -> Any:
    """Return a CUDA graph of some work."""
    with torch.inference_mode():
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
    return graph


def _generation(bench: Bench) -> None:
    """Measure the parts of one generation."""
    section = "Parts of one generation, 1024x1024"
    row = bench.run.row
    with bench.use(roles.GENERATIVE_FILL) as fill:
        pipeline, adapters = fill._pipeline, fill._adapters
        lcm, plain = pipeline._pipes[adapters], pipeline._pipes[Adapters()]
        config = pipeline._device_config
        one = torch.ones(1, device=next(lcm.unet.parameters()).device)
        row(
            section,
            "1,000 operations on one number: what it costs to start them",
            partial(_add, one),
        )
        row(
            section,
            "prompt through both text encoders, without a negative one",
            lambda n: _no_grad(lambda: diffusion.encode_prompts(lcm, config, _PROMPT, None, 1)),
            8,
        )
        _vae(bench, section, lcm.vae)
        _step(bench, "plain", plain)
        _step(bench, "LCM LoRA beside the weights", lcm)


def _add(one: torch.Tensor, number: int) -> None:
    for _ in range(1000):
        one.add_(1)


def _no_grad(work: Callable[[], object]) -> object:
    with torch.no_grad():
        return work()


def _vae(bench: Bench, section: str, vae: Any) -> None:
    own = next(vae.parameters()).dtype
    device = next(vae.parameters()).device
    side = bench.side
    for dtype in (torch.float16, torch.float32) if bench.gpu else (torch.float32,):
        vae.to(dtype)
        for count in (1, 4):
            pixels = torch.randn(count, 3, side, side, device=device, dtype=dtype)
            latents = torch.randn(count, 4, side // 8, side // 8, device=device, dtype=dtype)
            name = f"{str(dtype).removeprefix('torch.')}, batch {count}"
            bench.run.row(
                section,
                f"VAE, a picture into latents, {name}",
                partial(_ignoring, torch.no_grad()(vae.encode), pixels),
                6,
            )
            bench.run.row(
                section,
                f"VAE, latents into a picture, {name}",
                partial(_ignoring, torch.no_grad()(vae.decode), latents),
                6,
            )
    vae.to(own)


def _variants(bench: Bench) -> None:
    """Measure one generation in ways that the profile does not use yet."""
    section = "SdxlFill, LCM LoRA, 8 steps, in other ways"
    hole, run = bench.hole(), bench.run
    with bench.use(roles.GENERATIVE_FILL) as fill:
        pipeline, adapters = fill._pipeline, fill._adapters
        pipe = pipeline._pipes[adapters]

        def row(name: str, count: int, rounds: int = 3) -> None:
            seeds = list(range(count))
            run.row(
                section,
                f"{name}, {count} seeds",
                lambda rgb: fill.fill_by_prompt(rgb, hole, _PROMPT, "", seeds),
                rounds,
                bench.photo,
            )

        row("as it is", 1)
        row("as it is, one by one", 4, 2)
        pipeline.batches = {"float16": 4, "float32": 4}
        row("one batch", 4)
        pipe.vae.register_to_config(force_upcast=False)
        row("VAE in float16", 1)
        pipe.unet.fuse_lora()
        row("VAE in float16, LoRA fused", 1)
        row("VAE in float16, LoRA fused, one batch", 4)
        scene = {"bg_prompt": _PROMPT, "seed": "5", "refine_prompt": "false"}
        run.row(
            section,
            "background/replace, 4 results, refine_prompt=false, one batch, VAE in float16, LoRA fused",
            partial(_send, bench, "background/replace", False, scene),
            2,
            partial(_sent, bench, bench.side),
        )
        _step(bench, "LCM LoRA fused into the weights", pipe)
        pipe.unet.unfuse_lora()
        pipe.vae.register_to_config(force_upcast=True)
        torch.set_float32_matmul_precision("high")
        row("VAE in float32 with TF32", 1)
        torch.set_float32_matmul_precision("highest")
        del pipeline.batches


def _refiner(bench: Bench) -> None:
    """Measure one token of the refiner, with a growing cache and with a fixed one as a CUDA graph."""
    section = "Refiner: one token of Qwen3-4B, bfloat16, 1 prompt"
    kinds: Any = transformers
    with bench.use(roles.PROMPT_REFINEMENT) as refiner, refiner._module.on_device() as model:
        device = refiner._module.device
        tokens = torch.randint(0, 200, (1, 128), device=device)
        one = tokens[:, :1]
        bench.run.row(section, "prompt of 128 tokens", lambda n: model(tokens, use_cache=True), 6)
        cache = kinds.DynamicCache(config=model.config)
        model(tokens, past_key_values=cache, use_cache=True)
        bench.run.row(
            section,
            "next token, growing cache",
            lambda n: model(one, past_key_values=cache, use_cache=True),
            30,
        )
        fixed = kinds.StaticCache(config=model.config, max_cache_len=256)
        place = torch.tensor([[128]], device=device)
        model(tokens, past_key_values=fixed, use_cache=True)

        def step() -> object:
            return model(one, position_ids=place, past_key_values=fixed, use_cache=True)

        bench.run.row(section, "next token, fixed cache", lambda n: step(), 10)
        if not bench.gpu:
            return
        graph = _captured(step)
        bench.run.row(section, "next token, fixed cache, CUDA graph", lambda n: graph.replay(), 30)


def _callers(bench: Bench) -> None:
    """Measure requests of several callers at once."""
    section = "Requests of several callers at once, over HTTP in one process"
    scene = {
        "bg_prompt": _PROMPT,
        "seed": "5",
        "num_results": "1",
        "refine_prompt": "false",
    }

    for path, callers, count, fields in (
        ("background/remove", 1, 8, {}),
        ("background/remove", 8, 24, {}),
        ("background/replace", 4, 4, scene),
    ):

        def work(
            photos: list[bytes],
            path: str = path,
            callers: int = callers,
            fields: dict[str, str] = fields,
        ) -> object:
            with ThreadPoolExecutor(callers) as threads:
                return list(threads.map(partial(_send, bench, path, False, fields), photos))

        spent = bench.run.row(
            section,
            f"{path}: {count} requests of {callers}",
            work,
            2,
            partial(_sent_together, bench, count),
        )
        bench.run.say(f"<!-- {count / spent * 1000:.2f} requests a second -->")


_PARTS = (
    _routes,
    _eraser,
    _backends,
    _generation,
    _variants,
    _graphs,
    _refiner,
    _matting,
    _callers,
)
"""In order of importance: the time may end."""

if __name__ == "__main__":
    sys.exit(main())
