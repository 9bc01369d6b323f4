"""The parts of the benchmark that measure the targets of the models, and the networks one by one."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imaging.label_map import label_map
from models.backends.diffusion.sdxl import SdxlFill
from models.backends.diffusion.sdxl_pipeline import Recipe, shared_pipeline
from models.backends.matting_input import read_input
from models.backends.torch.birefnet import BiRefNet
from models.backends.torch.refiner import Refiner
from models.backends.torch.sam import Sam
from models.backends.torch.sam2 import Sam2
from models.backends.torch.upscaler import Upscaler
from scripts.gpu_benchmark import rates, rivals, steps, targets, variants
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.measure import Way
from scripts.gpu_benchmark.rates import Need
from scripts.gpu_benchmark.rivals import Sample

_STEPS, _GUIDANCE = 30, 8.0
_STRENGTH = 1.0
_BATCHES = (1, 2, 4, 8)


def sdxl(bench: Bench) -> None:
    """Inpainting with guidance, as the backend and as diffusers' documentation starts it."""
    section = f"SDXL inpainting, {bench.side}x{bench.side}"
    count = _STEPS if bench.gpu else 2
    folder = bench.weights("sdxl")
    ours = shared_pipeline(folder, bench.config())
    recipe = Recipe(count, _GUIDANCE, _STRENGTH)
    theirs = rivals.inpainting_pipeline(count, _GUIDANCE, _STRENGTH)(
        [folder], bench.config("bfloat16")
    )
    need = _need_of_inpainting(bench, count)

    def fill(sample: Sample) -> object:
        return ours.generate(sample.rgb, sample.hole, sample.prompt, "", [sample.seed], recipe)

    name = f"{count} steps, guidance {_GUIDANCE:g}"
    found, compared = bench.run.turns(
        section,
        [
            Way(f"SdxlPipeline, VAE in float16, {name}", fill, bench.sample, need=need),
            Way(f"diffusers in bfloat16, {name}", theirs, bench.sample),
        ],
    )
    bench.run.reach(targets.SDXL, compared / found)
    if bench.run.rates is not None:
        bench.run.reach(targets.SDXL_FLOOR, found / bench.run.rates.floor_ms(need))


def _need_of_inpainting(bench: Bench, count: int) -> Need:
    """Count one generation: two predictions a step, the picture and the masked picture into latents, and back."""
    unet = steps.unet(bench)
    with torch.inference_mode():
        step = rates.need(unet.module, unet.call(2))
        encode, decode = (
            rates.need(one.module, one.call(1)) for one in steps.vae(bench, "float16")
        )
    del unet
    bench.release()
    return step * count + encode * 2 + decode


def lora(bench: Bench) -> None:
    """Few steps with a LoRA, as the backend and as diffusers with the LoRA fused."""
    section = f"SDXL inpainting with the LCM LoRA, 8 steps, {bench.side}x{bench.side}"
    paths = [bench.weights("sdxl"), bench.weights("lora")]
    ours = SdxlFill.load(paths, bench.config())
    beside = rivals.inpainting_pipeline(8, 1.0, 1.0, lora=1)(paths, bench.config())
    fused = rivals.inpainting_pipeline(8, 1.0, 1.0, lora=1, fused=True)(paths, bench.config())

    def fill(count: int, sample: Sample) -> object:
        seeds = list(range(count))
        return ours.fill_by_prompt(sample.rgb, sample.hole, sample.prompt, "", seeds)

    bench.run.turns(
        section,
        [
            Way("SdxlFill, 1 seed", partial(fill, 1), bench.sample),
            Way("SdxlFill, 4 seeds", partial(fill, 4), bench.sample, pictures=4),
            Way("diffusers, LoRA beside the weights", beside, bench.sample),
            Way("diffusers, LoRA fused", fused, bench.sample),
        ],
    )


def matting(bench: Bench) -> None:
    """The matting backend in batches, against the network as its publisher runs it."""
    section = f"Matting: a network of BiRefNet's size, {bench.side}x{bench.side}"
    folder = bench.weights("birefnet")
    ours = BiRefNet.load([folder], bench.config())
    single = bench.run.row(
        section,
        "as its publisher runs it: eager, float16, batch 1",
        rivals.matting([folder], bench.config()),
        bench.sample,
    )
    bench.run.row(section, "BiRefNet with its work on the processor", ours.matte, bench.photo)
    square, each = read_input(folder), []
    for count in _BATCHES:
        inputs = [square.tensor(bench.photo(number)) for number in range(count)]
        name = f"BiRefNet, what its device is kept for, batch {count}"
        spent = bench.run.row(section, name, partial(_ignoring, ours.infer, inputs), pictures=count)
        each.append(spent / count)
    bench.run.reach(targets.MATTING, single / np.nanmin(each))
    del ours
    bench.release()
    variants.measure(bench, section, steps.matting(bench), _BATCHES, compiled=(1, 4))


def _ignoring(work: Any, given: Any, number: int) -> object:
    return work(given)


def masks(bench: Bench) -> None:
    """Automatic masks: the backend of SAM against segment-anything, and SAM 2.1."""
    section = f"Automatic masks, {bench.side}x{bench.side}"
    folder = bench.weights("sam")
    count = rivals.points(bench.config())
    _sam(bench, section, folder, count)
    bench.release()
    _sam2(bench, section, count)


def _sam(bench: Bench, section: str, folder: Path, count: int) -> None:
    ours = Sam.load([folder], bench.config(), points=count)
    generate: Any = rivals.mask_generator([folder], bench.config())
    found, compared = bench.run.turns(
        section,
        [
            Way(f"Sam, {count} x {count} points", ours.segment, bench.photo),
            Way("segment-anything, defaults", generate, bench.sample),
        ],
    )
    bench.run.reach(targets.MASKS, compared / found)
    try:
        rgb = bench.photo(0)
        theirs = [one["segmentation"] for one in _by_area(generate(bench.sample(0)))]
        same = ours.segment(rgb) == label_map(theirs, bench.side, bench.side)
        bench.run.reach(targets.SAME_MASKS, 100 * float(np.mean(same)))
    except Exception as error:
        bench.run.fail(section, "the same masks", error)


def _by_area(candidates: Any) -> list[Any]:
    return sorted(candidates, key=lambda mask: -mask["area"])[:255]


def _sam2(bench: Bench, section: str, count: int) -> None:
    folder = bench.weights("sam2")
    for batch in (64, 256, 1024) if bench.gpu else (4,):
        model = Sam2(folder, bench.config(), points=count, batch=batch)
        name = f"Sam2, hiera-large, {count} x {count} points, {batch} in a batch"
        bench.run.row(section, name, model.segment, bench.photo)
        del model
        bench.release()


def unet(bench: Bench) -> None:
    """One step of SDXL's UNet, with and without a LoRA."""
    section = f"One step of SDXL's UNet, {bench.side}x{bench.side}, float16, without guidance"
    variants.measure(bench, section, steps.unet(bench), _BATCHES, compiled=(1, 4))
    bench.release()
    for kind in ("beside", "fused"):
        variants.measure(bench, section, steps.unet(bench, kind), (1, 4))
        bench.release()


def transformer(bench: Bench) -> None:
    """One step of a transformer of FLUX.2 klein 4B's size."""
    section = f"One step of klein 4B's transformer, {bench.side}x{bench.side}, bfloat16"
    variants.measure(bench, section, steps.transformer(bench, 2), (1, 2))
    bench.release()
    step = steps.transformer(bench)
    variants.measure(bench, section, step, _BATCHES, compiled=(1, 4), with_float8=True)
    bench.release()


def vae(bench: Bench) -> None:
    """SDXL's VAE in each precision."""
    for dtype in ("float16", "bfloat16", "float32"):
        for step in steps.vae(bench, dtype):
            section = f"SDXL's VAE, {bench.side}x{bench.side}"
            variants.measure(bench, section, step, (1, 4) if dtype != "float32" else (1,))
        bench.release()


def upscaler(bench: Bench) -> None:
    """The upscaler by tiles, and its network on a whole picture."""
    half = bench.side // 2
    section = f"Upscaler, {half}x{half} unless said"
    paths = [bench.weights("upscaler")]
    model = Upscaler.load(paths, bench.config())
    for factor in (2, 4):
        name = f"Upscaler in tiles, x{factor}"
        bench.run.row(
            section, name, partial(_enlarge, model, factor), partial(bench.photo, side=half)
        )
    bench.run.row(
        section,
        f"Upscaler in tiles, x2, {bench.side}x{bench.side}",
        partial(_enlarge, model, 2),
        bench.photo,
    )
    variants.measure(bench, section, steps.upscaler(bench), (1, 4))


def _enlarge(model: Any, factor: int, rgb: Any) -> object:
    return model.upscale(rgb, factor)


def refiner(bench: Bench) -> None:
    """An answer of the prompt refiner, with a growing cache and with a fixed one, each token a CUDA graph."""
    section = "An answer of Qwen3-4B of at most 96 tokens, bfloat16"
    model = Refiner.load([bench.weights("refiner")], bench.config("bfloat16"))

    def answer(number: int) -> object:
        return model.refine(f"a beach, number {number}")

    bench.run.row(section, "growing cache", answer)
    graphs = variants.new_graphs(bench)
    model.use_graphs(graphs)
    name = "fixed cache, a CUDA graph for each token"
    answer(0)
    if graphs.count != 1:
        bench.run.fail(section, name, RuntimeError(f"not captured: {graphs.failure}"))
    elif bench.gpu:
        bench.run.row(section, name, answer)
    else:
        bench.run.skip(section, name, variants.WITHOUT_GPU)


def kernels(bench: Bench) -> None:
    """How many kernels one call launches; last, because the profiler slows what follows."""
    section = "Kernels launched by one call, eager"
    makers: list[Any] = [
        partial(steps.unet, bench),
        partial(steps.unet, bench, "beside"),
        partial(steps.unet, bench, "fused"),
        partial(steps.transformer, bench),
        partial(steps.matting, bench),
        partial(steps.sam_encoder, bench),
        partial(steps.upscaler, bench),
    ]
    for make in makers:
        try:
            step = make()
            for batch in (1, 4):
                found = rates.launched(step.call(batch), bench.device)
                line = f"| {step.name}, batch {batch} | {found if bench.gpu else 'skipped: needs a GPU'} |"
                bench.run.page.add(section, "| network | kernels |\n|---|---|", line)
        except Exception as error:
            bench.run.fail(section, "a network", error)
        step = None
        bench.release()
