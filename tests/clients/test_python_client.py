"""A client made by openapi-python-client from docs/openapi.json edits pictures on a real server."""

import base64
import importlib
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType
from PIL import Image

from scripts.openapi import FILE
from tests.helpers.places import PHOTOS
from tests.helpers.server_process import Server

Load = Callable[[str], ModuleType]
"""Imports a module of the generated package."""


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """The generated package, made from the committed document without one warning."""
    folder = tmp_path_factory.mktemp("generated")
    config = Config.from_sources(
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        document_source=FILE,
        file_encoding="utf-8",
        overwrite=False,
        output_path=folder / "retouch_client",
    )
    assert generate(config=config) == []

    def load(name: str) -> ModuleType:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(folder))
            return importlib.import_module(f"retouch_client{name}")

    return load


@pytest.fixture(scope="module")
def client(load: Load, running: Server) -> Iterator[Any]:
    """A client with the token of an organisation."""
    with load("").AuthenticatedClient(
        base_url=str(running.http.base_url).rstrip("/"),
        token="secret-a",
        prefix="",
        auth_header_name="api_token",
        timeout=60,
    ) as client:
        yield client


def photo(name: str) -> bytes:
    """Return the file of a sample photograph, at a quarter of its size."""
    with Image.open(PHOTOS / name) as image:
        small = BytesIO()
        image.resize((image.width // 2, image.height // 2)).save(small, "PNG")
    return small.getvalue()


def result(running: Server, link: str) -> Image.Image:
    """Return the picture behind a link."""
    answer = running.read(link)
    assert answer.status_code == 200
    return Image.open(BytesIO(answer.content))


@pytest.mark.parametrize("body", ["Body", "Form", "Urlencoded"])
def test_each_body_type_removes_a_background(
    body: str, load: Load, client: Any, running: Server
) -> None:
    models, types = load(".models"), load(".types")
    fields = getattr(models, f"BackgroundRemove{body}")
    content = photo("astronaut.jpg")
    if body == "Form":
        sent = fields(file=types.File(BytesIO(content), "photo.png", "image/png"))
    else:
        sent = fields(image_url=_data_url(content))
    answer = load(".api.editing.background_remove").sync(client=client, body=sent)
    assert isinstance(answer, models.ResultUrl), answer
    alpha = np.asarray(result(running, answer.result_url).getchannel("A"))
    assert alpha.min() == 0
    assert alpha.max() == 255


def test_an_object_is_removed_by_its_mask_id(load: Load, client: Any, running: Server) -> None:
    models, types = load(".models"), load(".types")
    content = photo("coffee.jpg")
    sent = models.RegisterForm(file=types.File(BytesIO(content), "photo.png", "image/png"))
    registered = load(".api.visuals.register").sync(client=client, body=sent)
    assert isinstance(registered, models.Registered), registered
    visual = registered.visual_id
    masks = load(".api.visuals.objects_mask_generator_of_visual").sync(visual, client=client)
    with zipfile.ZipFile(BytesIO(running.read(masks.objects_masks).content)) as archive:
        mask = Image.open(BytesIO(archive.read(f"{visual}_1.png"))).convert("L")
    answer = load(".api.visuals.objects_remove_of_visual").sync(
        visual,
        client=client,
        body=models.ObjectsRemoveOfVisualBody(
            changes=[models.RemoveChange(mask_id=1, actions=models.RemoveActions(remove=True))]
        ),
    )
    assert isinstance(answer, models.ImageRes), answer
    before = np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(int)
    after = np.asarray(result(running, answer.image_res).convert("RGB")).astype(int)
    inside = np.asarray(mask) > 0
    assert np.abs(after - before)[inside].mean() > 4


def test_the_objects_of_an_urlencoded_form_are_json_text(load: Load, client: Any) -> None:
    models = load(".models")
    form = models.RegisterUrlencoded(image_url=_data_url(photo("coffee.jpg")))
    visual = load(".api.visuals.register").sync(client=client, body=form).visual_id
    answer = load(".api.visuals.objects_remove_of_visual").sync(
        visual,
        client=client,
        body=models.ObjectsRemoveOfVisualUrlencoded(changes='[{"mask_id": 250}]'),
    )
    assert isinstance(answer, models.Error), answer
    assert (answer.code, answer.status) == (506, "INSUFFICIENT_DATA")


def test_an_error_is_an_object_with_the_code(load: Load, client: Any) -> None:
    models = load(".models")
    sent = models.BackgroundRemoveBody(image_url="data:,not-a-picture")
    answer = load(".api.editing.background_remove").sync(client=client, body=sent)
    assert isinstance(answer, models.Error), answer
    assert answer.code in (400, 415)


def _data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()
