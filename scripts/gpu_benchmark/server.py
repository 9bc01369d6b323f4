"""The part that measures the server end to end against the bare pipeline, and its routes."""

import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imaging.picture import Picture, Rgb
from models import roles
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from pipelines.gen_fill import gen_fill
from scripts.gpu_benchmark import targets
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.measure import Way

_PROMPT = "a red wooden boat on a calm lake at sunrise"
_ROLES = {
    "matting": "birefnet",
    "generative_fill": "sdxl-fill",
    "super_resolution": "realesrgan-x4plus-torch",
}
"""The roles of the server that is measured, and the card of each."""
_PLACES = {
    'repos."ZhengPeng7/BiRefNet"': "birefnet",
    'repos."diffusers/stable-diffusion-xl-1.0-inpainting-0.1"': "sdxl",
    "cards.realesrgan-x4plus-torch": "upscaler",
}
"""Where each card finds the part of `weights` that stands in for its weights."""
_LEAST = 216
"""The least side of a picture that is enlarged."""
_WEIGHTS = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True)
class _Served:
    """A running server, and the engine that its pipelines use."""

    bench: Bench
    client: Any
    engine: LocalEngine

    def post(self, path: str, fields: Mapping[str, str], mask: bool, photo: bytes) -> object:
        """Send a picture and wait for the result. Raises RuntimeError for another status than 200."""
        files = {"file": photo}
        if mask:
            files["mask_file"] = _png(self.bench.hole().view(np.uint8) * np.uint8(255))
        answer = self.client.post(f"/v1/{path}", files=files, data={"sync": "true", **fields})
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code} {answer.text[:150]}")
        return answer.json()

    def jpeg(self, number: int, least: int = 0) -> bytes:
        """Return a photograph as a caller sends it, with sides of at least `least` pixels."""
        data = io.BytesIO()
        photo = self.bench.photo(number, max(least, self.bench.side))
        Image.fromarray(photo).save(data, "JPEG", quality=92)
        return data.getvalue()


def server(bench: Bench) -> None:
    """Requests over HTTP in one process, in turns with the pipeline alone on decoded pixels."""
    with _serving(bench) as served:
        section = f"Server end to end, {bench.side}x{bench.side}: SdxlFill, 20 steps with guidance"
        mask = bench.hole().view(np.uint8) * np.uint8(255)
        fields = {"prompt": _PROMPT, "seed": "5", "num_results": "1"}

        def bare(rgb: Rgb) -> object:
            return gen_fill(Picture(rgb), mask, served.engine, _PROMPT, "", [5])

        sent = partial(served.post, "gen_fill", fields, True)
        whole, alone = bench.run.turns(
            section,
            [
                Way("gen_fill over HTTP, 1 result", sent, served.jpeg),
                Way("the pipeline alone", bare, bench.photo),
            ],
        )
        bench.run.reach(targets.SERVER, 100 * (whole - alone) / alone)
        _routes(served, section)


def _routes(served: _Served, section: str) -> None:
    bench = served.bench
    fields = {"prompt": _PROMPT, "seed": "5", "num_results": "4"}
    fill = partial(served.post, "gen_fill", fields, True)
    bench.run.row(section, "gen_fill over HTTP, 4 results", fill, served.jpeg, pictures=4)
    remove = partial(served.post, "background/remove", {}, False)
    bench.run.row(section, "background/remove over HTTP", remove, served.jpeg)
    count = 8

    def together(photos: list[bytes]) -> object:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(remove, photos))

    bench.run.row(
        section,
        f"background/remove over HTTP, {count} callers at once",
        together,
        lambda number: [served.jpeg(number * count + one) for one in range(count)],
        pictures=count,
    )
    path = "image/increase_resolution?desired_increase=2"
    enlarge = partial(served.post, path, {}, False)
    given = partial(served.jpeg, least=_LEAST)
    bench.run.row(section, "image/increase_resolution, x2", enlarge, given)


def _png(pixels: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)
    return data.getvalue()


@contextmanager
def _serving(bench: Bench) -> Iterator[_Served]:
    """Yield a server whose profile has only the roles above, with random weights."""
    # Imported here: without the packages of the server, this part alone is left out.
    from starlette.testclient import TestClient

    from server.app import create_app
    from server.settings import Settings

    folder = bench.folder / "server"
    folder.mkdir(exist_ok=True)
    device = "auto" if bench.gpu else "cpu"
    pool = Pool.for_profile(
        str(_profile(bench, folder)), folder / "weights", threads=8, device=device
    )
    pool.warm_up()
    settings = Settings(
        data_dir=folder / "data", api_tokens="gpu:gpu", requests_per_minute=0, workers=8
    )
    engine = LocalEngine(pool)
    with TestClient(create_app(settings, engine), headers={"api_token": "gpu"}) as client:
        yield _Served(bench, client, engine)


def _profile(bench: Bench, folder: Path) -> Path:
    lines = ['base = "open"']
    for role in roles.ROLES:
        lines.append(_row(role.name))
    for table, name in _PLACES.items():
        path = bench.weights(name)
        if table.startswith("cards"):
            path = next(file for file in path.iterdir() if file.suffix in _WEIGHTS)
        lines.append(f'[{table}]\npath = "{path}"')
    profile = folder / "random.toml"
    profile.write_text("\n".join(lines) + "\n")
    return profile


def _row(role: str) -> str:
    return f'{role} = "{_ROLES[role]}"' if role in _ROLES else f"{role} = false"
