"""A whole profile with its real weights in the real server: every route and its guarantees.

On a machine with a GPU and the weights: `RETOUCH_PROFILE=open ./scripts/test -m gpu tests/gpu`. The pictures
and a contact sheet are stored in `data/gpu-suite/PROFILE`. With profile `tiny` the suite runs on any machine,
to test the suite itself.
"""

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from retouch.smoke import THUMBNAIL, thumbnail
from server.app import create_app
from server.settings import Settings
from tests.helpers.places import PHOTOS, ROOT

pytestmark = [
    pytest.mark.gpu,
    # Deprecation warnings of libraries are no errors of the profile.
    pytest.mark.filterwarnings("default"),
]
PROFILE = os.environ.get("RETOUCH_PROFILE", "open")
COLUMNS = 4
Pixels = NDArray[np.uint8]


@dataclass
class Deployment:
    """A running server, and the pictures that it returned."""

    client: TestClient
    pool: Pool
    pictures: dict[str, bytes] = field(default_factory=dict)

    def post(self, path: str, photo: str, fields: Mapping[str, str], mask: str = "") -> Any:
        """Send a photograph and return the answer."""
        files = {"file": (PHOTOS / f"{photo}.jpg").read_bytes()}
        if mask:
            files["mask_file"] = (PHOTOS / f"{mask}.png").read_bytes()
        answer = self.client.post(f"/v1/{path}", files=files, data=dict(fields))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read(self, link: str, name: str) -> Pixels:
        """Return a result and store it for the sheet."""
        parts = urlsplit(link)
        answer = self.client.get(f"{parts.path}?{parts.query}")
        assert answer.status_code == 200
        self.pictures[name] = answer.content
        return np.asarray(Image.open(io.BytesIO(answer.content)))

    def register(self, photo: str) -> str:
        """Register a photograph and return its visual_id."""
        return str(self.post("register", photo, {})["visual_id"])


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path) -> Iterator[Deployment]:
    """The server of the profile; draws the sheet at the end."""
    torch = pytest.importorskip("torch")
    if PROFILE != "tiny" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    settings = Settings(
        profile=PROFILE,
        data_dir=tmp_path_factory.mktemp("deployment"),
        api_tokens="gpu:gpu",
        workers=4,
    )
    pool = Pool.for_profile(
        settings.profile,
        weights_dir,
        threads=settings.workers,
        models_dir=settings.models_dir,
        device=settings.device,
        dtype=settings.dtype,
        offload=settings.offload,
        memory_mb=settings.memory_mb,
        main_memory_mb=settings.main_memory_mb,
        cuda_graphs=settings.cuda_graphs,
        preload=settings.preload,
    )
    with TestClient(
        create_app(settings, LocalEngine(pool)), headers={"api_token": "gpu"}
    ) as client:
        deployment = Deployment(client, pool)
        yield deployment
    _draw_sheet(deployment.pictures, ROOT / "data" / "gpu-suite" / Path(PROFILE).stem)


def _draw_sheet(pictures: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cell = (THUMBNAIL, THUMBNAIL + 16)
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[0], max(1, rows) * cell[1]), "white")
    for index, (name, data) in enumerate(pictures.items()):
        kind = (Image.open(io.BytesIO(data)).format or "bin").lower()
        (folder / f"{name}.{kind}").write_bytes(data)
        place = (index % COLUMNS * cell[0], index // COLUMNS * cell[1])
        sheet.paste(thumbnail(data, name), place)
    sheet.save(folder / "sheet.png")


def photo(name: str) -> Pixels:
    """Read a sample photograph."""
    return np.asarray(Image.open(PHOTOS / f"{name}.jpg").convert("RGB"))


def mask() -> NDArray[np.bool_]:
    """The part of the astronaut that is edited."""
    return np.asarray(Image.open(PHOTOS / "astronaut-mask.png").convert("L")) > 127


def apart(one: Pixels, other: Pixels) -> int:
    """Return the largest difference in levels."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_every_model_of_the_profile_loads(deployment: Deployment) -> None:
    deployment.pool.warm_up()
    for role in deployment.pool.stats():
        with deployment.pool.use(role) as model:
            assert model is not None


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_cut_outs_have_the_size_of_the_picture_and_a_subject(
    deployment: Deployment, name: str
) -> None:
    link = deployment.post("background/remove", name, {})["result_url"]
    cut = deployment.read(link, f"background_remove_{name}")
    assert cut.shape == (*photo(name).shape[:2], 4)
    assert cut[..., 3].min() < 16
    assert cut[..., 3].max() > 240


@pytest.mark.parametrize(
    ("path", "name", "fields"),
    [
        ("background/blur", "astronaut", {}),
        ("erase_foreground", "coffee", {}),
        ("crop", "chelsea", {}),
        ("image/increase_resolution?desired_increase=2", "chelsea", {}),
        ("image/increase_resolution?desired_increase=4", "chelsea", {}),
    ],
)
def test_simple_edits_return_a_picture(
    deployment: Deployment, path: str, name: str, fields: dict[str, str]
) -> None:
    link = deployment.post(path, name, fields)["result_url"]
    title = path.replace("/", "_").replace("?desired_increase=", "_x")
    result = deployment.read(link, title)
    if "increase" in path:
        factor = int(path[-1])
        assert result.shape[:2] == tuple(factor * side for side in photo(name).shape[:2])


def test_erasing_changes_no_pixel_outside_the_mask(deployment: Deployment) -> None:
    link = deployment.post("eraser", "astronaut", {}, "astronaut-mask")["result_url"]
    result = deployment.read(link, "eraser")
    assert np.array_equal(result[~mask()], photo("astronaut")[~mask()])


def _fill(deployment: Deployment, seed: int, count: int, name: str) -> list[Pixels]:
    fields = {"prompt": "a round window", "sync": "true", "seed": str(seed)}
    answer = deployment.post(
        "gen_fill", "astronaut", {**fields, "num_results": str(count)}, "astronaut-mask"
    )
    assert answer["seed"] == [seed + index for index in range(count)]
    return [deployment.read(link, f"{name}_{i}") for i, link in enumerate(answer["urls"])]


def test_fills_change_only_the_mask_and_can_be_repeated_by_seed(deployment: Deployment) -> None:
    many = _fill(deployment, 7, 3, "gen_fill")
    for result in many:
        assert np.array_equal(result[~mask()], photo("astronaut")[~mask()])
    assert apart(many[0], many[1]) > 2
    alone = _fill(deployment, 8, 1, "gen_fill_again")[0]
    assert apart(alone, many[1]) <= 2
    assert np.array_equal(alone, _fill(deployment, 8, 1, "gen_fill_again")[0])


def _scenes(deployment: Deployment, name: str, **fields: str) -> list[Pixels]:
    requested = {"sync": "true", "original_quality": "true", "seed": "5", "num_results": "1"}
    results = deployment.post("background/replace", "astronaut", {**requested, **fields})["result"]
    return [deployment.read(link, f"{name}_{i}") for i, (link, *_) in enumerate(results)]


@pytest.mark.parametrize("fast", ["true", "false"])
def test_scenes_preserve_the_subject_and_can_be_repeated_by_seed(
    deployment: Deployment, fast: str
) -> None:
    fields = {"bg_prompt": "in a parking lot at dusk", "fast": fast}
    many = _scenes(deployment, f"scene_fast_{fast}", num_results="2", **fields)
    cut = deployment.read(
        deployment.post("background/remove", "astronaut", {})["result_url"], "background_remove"
    )
    solid = cut[..., 3] == 255
    assert solid.any()
    for result in many:
        assert np.array_equal(result[..., :3][solid], photo("astronaut")[solid])
    assert apart(many[0], many[1]) > 2
    alone = _scenes(deployment, f"scene_fast_{fast}_again", **{**fields, "seed": "6"})[0]
    assert apart(alone, many[1]) <= 2


def test_a_reference_picture_makes_a_scene(deployment: Deployment) -> None:
    files = {
        "file": (PHOTOS / "astronaut.jpg").read_bytes(),
        "ref_image_file": (PHOTOS / "coffee.jpg").read_bytes(),
    }
    fields = {"sync": "true", "num_results": "1", "seed": "1"}
    answer = deployment.client.post("/v1/background/replace", files=files, data=fields)
    assert answer.status_code == 200, answer.text
    deployment.read(answer.json()["result"][0][0], "scene_by_reference")


def test_expansion_preserves_the_picture_and_describes_it(deployment: Deployment) -> None:
    height, width = photo("coffee").shape[:2]
    fields = {
        "canvas_size": f"[{width + 320},{height + 160}]",
        "original_image_size": f"[{width},{height}]",
        "original_image_location": "[160,80]",
        "seed": "1",
    }
    answer = deployment.post("image_expansion", "coffee", fields)
    result = deployment.read(answer["result_url"], "image_expansion")
    assert np.array_equal(result[80 : 80 + height, 160 : 160 + width], photo("coffee"))
    assert answer["prompt"]


def test_only_the_face_changes(deployment: Deployment) -> None:
    visual = deployment.register("astronaut")
    people = deployment.client.get(f"/v1/{visual}/person/info").json()
    if PROFILE == "tiny":
        pytest.skip("random weights find faces anywhere")
    assert len(people) == 1
    for name, actions in (("happy", {"expression": "happy"}), ("older", {"age": "mid-60"})):
        body = {"changes": [{"id": people[0]["id"], "actions": actions}]}
        answer = deployment.client.post(f"/v1/{visual}/create", json=body)
        assert answer.status_code == 200, answer.text
        result = deployment.read(answer.json()["image_res"], f"create_{name}")
        changed = (result != photo("astronaut")).any(axis=2)
        assert changed.any()
        assert not changed[-128:].any()


def test_objects_have_masks_and_a_visual_has_layers(deployment: Deployment) -> None:
    visual = deployment.register("coffee")
    objects = deployment.client.get(f"/v1/{visual}/objects/info").json()
    assert PROFILE == "tiny" or objects
    for path in (f"{visual}/objects/mask_generator", f"{visual}/image_to_psd"):
        answer = deployment.client.post(f"/v1/{path}")
        assert answer.status_code == 200, answer.text
