"""sync=false: links at once, then the complete result, even if the process ends in between."""

import io
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.errors import ModelUnavailableError
from models.roles import INPAINTING, MODERATION, Role
from server.app import create_app
from server.settings import Settings
from storage.filesystem import LocalObjects
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import BlockingModels, FakeModels
from tests.helpers.requests import TOKEN, b64, encode, mask, photo

Wait = Callable[[Callable[[], bool]], None]


def test_the_link_is_404_until_the_result_is_complete(tmp_path: Path, wait_until: Wait) -> None:
    models = BlockingModels()
    with TestClient(create_app(Settings(data_dir=tmp_path), models), headers=TOKEN) as client:
        answer = client.post("/v1/background/remove", json={"file": b64(photo()), "sync": False})
        assert answer.status_code == 200
        link = local(answer.json()["result_url"])
        assert models.started.wait(10)
        refused(client.get(link), 404)
        models.unblocked.set()
        wait_until(lambda: client.get(link).status_code == 200)
        assert Image.open(io.BytesIO(client.get(link).content)).size == (320, 240)
        wait_until(lambda: not list((tmp_path / "sources").rglob("*.png")))


def test_the_seed_is_returned_at_once_and_repeats_the_picture(
    client: TestClient, wait_until: Wait
) -> None:
    body = {"file": b64(photo()), "canvas_size": [400, 300]}
    later = client.post("/v1/image_expansion", json={**body, "sync": "false"}).json()
    at_once = client.post("/v1/image_expansion", json={**body, "seed": later["seed"]}).json()
    link = local(later["result_url"])
    wait_until(lambda: client.get(link).status_code == 200)
    assert client.get(link).content == client.get(local(at_once["result_url"])).content


def test_the_next_process_finishes_jobs_of_a_stopped_one(tmp_path: Path, wait_until: Wait) -> None:
    settings = Settings(data_dir=tmp_path, workers=1)
    models = BlockingModels()
    body = {"file": b64(photo()), "sync": False}
    links = []
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        for _ in range(3):
            links.append(local(client.post("/v1/crop", json=body).json()["result_url"]))
        assert models.started.wait(10)
        # The first job ends while the process stops.
        stopper = threading.Timer(0.5, models.unblocked.set)
        stopper.start()
    stopper.join()
    assert len(list((tmp_path / "results").rglob("*.png"))) < 3
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        for link in links:
            wait_until(lambda link=link: client.get(link).status_code == 200)


def test_nothing_stays_of_a_process_killed_after_its_last_result(
    tmp_path: Path, wait_until: Wait
) -> None:
    settings = Settings(data_dir=tmp_path, workers=1)
    models = BlockingModels()
    body = {"file": b64(photo()), "sync": False}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        done, waiting = (client.post("/v1/crop", json=body).json()["result_url"] for _ in range(2))
        assert models.started.wait(10)
        stopper = threading.Timer(0.5, models.unblocked.set)
        stopper.start()
    stopper.join()
    (source,) = (tmp_path / "sources").glob("*/0.*")
    # As if the process had made the second result too, and had been killed at once.
    (source.parent / "deaths.json").write_bytes(b"1")
    shutil.copy(result_file(tmp_path, done), result_file(tmp_path, waiting))
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        wait_until(lambda: not list((tmp_path / "sources").glob("*/*")))
        assert client.get(local(waiting)).status_code == 200


def result_file(folder: Path, link: str) -> Path:
    """Return the file behind the link of a result."""
    return folder / "results" / urlsplit(link).path.removeprefix("/results/")


def test_a_failed_job_reports_the_error_at_its_link(client: TestClient, wait_until: Wait) -> None:
    white = encode(Image.new("L", (320, 240), 255))
    body = {"file": b64(photo()), "mask_file": b64(white), "sync": False}
    link = local(client.post("/v1/eraser", json=body).json()["result_url"])
    wait_until(lambda: client.get(link).status_code != 404)
    assert "left to fill" in refused(client.get(link), 506)["description"]


def test_a_job_waits_for_an_unavailable_model(
    tmp_path: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it had waited for a worker for longer than it may be retried."""
    monkeypatch.setattr("server.jobs.runner._MAX_RETRY_S", 0)

    class UnavailableAtFirst(FakeModels):
        tries = 0

        def before(self, role: Role[Any]) -> None:
            self.tries += role == INPAINTING
            if self.tries == 1:
                raise ModelUnavailableError("not yet")

    with TestClient(
        create_app(Settings(data_dir=tmp_path), UnavailableAtFirst()), headers=TOKEN
    ) as client:
        body = {"file": b64(photo()), "mask_file": b64(mask()), "sync": False}
        link = local(client.post("/v1/eraser", json=body).json()["result_url"])
        wait_until(lambda: client.get(link).status_code != 404)
        assert client.get(link).status_code == 200


def test_a_job_whose_model_stays_unavailable_is_given_up(
    tmp_path: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.runner._MAX_RETRY_S", 0.1)

    class Unavailable(FakeModels):
        tries = 0

        def before(self, role: Role[Any]) -> None:
            if role == INPAINTING:
                self.tries += 1
                raise ModelUnavailableError("not yet")

    models = Unavailable()
    with TestClient(create_app(Settings(data_dir=tmp_path), models), headers=TOKEN) as client:
        body = {"file": b64(photo()), "mask_file": b64(mask()), "sync": False}
        link = local(client.post("/v1/eraser", json=body).json()["result_url"])
        wait_until(lambda: client.get(link).status_code != 404)
        refused(client.get(link), 503)
    assert models.tries == 2


@pytest.mark.parametrize("data", [b"text", photo()[:20_000], b""])
def test_an_invalid_picture_is_refused_at_once(client: TestClient, data: bytes) -> None:
    answer = client.post("/v1/crop", files={"file": ("a.png", data)}, data={"sync": "false"})
    assert 400 <= answer.status_code < 500


def test_a_job_over_the_limit_is_429(tmp_path: Path) -> None:
    models = BlockingModels()
    settings = Settings(data_dir=tmp_path, max_waiting=1)
    body: dict[str, Any] = {"file": b64(photo()), "sync": False}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        for _ in range(4):  # the limit is four jobs for each request that may wait
            assert client.post("/v1/crop", json=body).status_code == 200
        answer = client.post("/v1/crop", json=body)
        refused(answer, 429)
        assert int(answer.headers["retry-after"]) > 0
        models.unblocked.set()


def test_a_full_store_is_503_and_no_partial_result_stays(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = LocalObjects.put
    calls = []

    def full(self: LocalObjects, key: str, data: bytes, content_type: str) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        put(self, key, data, content_type)

    monkeypatch.setattr(LocalObjects, "put", full)
    body = {"file": b64(photo()), "bg_prompt": "white", "sync": True, "num_results": 2}
    refused(client.post("/v1/background/replace", json=body), 503)
    assert len(calls) == 2
    assert not [path for path in (settings.data_dir / "results").rglob("*") if path.is_file()]


class TestModeration:
    """content_moderation with a fake model that blocks red."""

    red = encode(Image.new("RGB", (300, 300), (255, 0, 0)))
    green = encode(Image.new("RGB", (300, 300), (0, 200, 0)))

    @pytest.mark.parametrize("sync", [True, False])
    def test_a_blocked_input_is_refused_at_once_and_named(
        self, client: TestClient, sync: bool, settings: Settings
    ) -> None:
        body = {"file": b64(self.red), "content_moderation": True, "sync": sync}
        assert refused(client.post("/v1/crop", json=body), 422)["parameter"] == "file"
        assert not [p for p in settings.data_dir.rglob("*.png") if p.is_file()]

    def test_nothing_is_moderated_by_default(self, client: TestClient) -> None:
        assert client.post("/v1/crop", json={"file": b64(self.red)}).status_code == 200

    def test_a_safe_picture_passes(self, client: TestClient) -> None:
        body = {"file": b64(self.green), "content_moderation": True}
        assert client.post("/v1/crop", json=body).status_code == 200

    def test_a_blocked_mask_is_refused_and_named(self, tmp_path: Path) -> None:
        class Grey:
            def score(self, rgb: Any) -> dict[str, float]:
                return {"nsfw": float((rgb[..., 0] == rgb[..., 1]).all())}

        models = FakeModels({MODERATION: Grey()})
        body = {"file": b64(photo()), "mask_file": b64(mask()), "content_moderation": True}
        with TestClient(create_app(Settings(data_dir=tmp_path), models), headers=TOKEN) as client:
            assert refused(client.post("/v1/eraser", json=body), 422)["parameter"] == "mask_file"

    @pytest.mark.parametrize("sync", [True, False])
    def test_a_blocked_output_is_refused(
        self, settings: Settings, sync: bool, wait_until: Wait
    ) -> None:
        class Red:
            def fill(self, rgb: Any, hole: Any, avoid: Any = None) -> Any:
                filled = rgb.copy()
                filled[hole] = (255, 0, 0)
                return filled

        body = {
            "file": b64(self.green),
            "mask_file": b64(encode(Image.new("L", (300, 300), 255))),
            "content_moderation": True,
            "sync": sync,
        }
        with TestClient(
            create_app(settings, FakeModels({INPAINTING: Red()})), headers=TOKEN
        ) as client:
            answer = client.post("/v1/eraser", json=body)
            if sync:
                refused(answer, 422)
                assert not list((settings.data_dir / "results").rglob("*.png"))
            else:
                link = local(answer.json()["result_url"])
                wait_until(lambda: client.get(link).status_code != 404)
                assert client.get(link).content == b""
                assert client.get(link, headers={"range": "bytes=0-0"}).status_code == 416
