"""Visuals: registered once, edited step by step, and only visible to their organisation."""

import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.roles import FACE_ANALYSIS
from server.app import create_app
from server.http.image_fetch import PictureFetcher
from server.settings import Settings
from storage.filesystem import LocalObjects
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels, OneFace
from tests.helpers.requests import TOKEN, b64, encode, mask, noise, photo

OTHER = {"api_token": "secret-b"}
NOBODY = "0" * 16


@pytest.fixture
def visual(client: TestClient) -> str:
    """The visual_id of a registered picture of noise, 320 x 240."""
    answer = client.post("/v1/register", json={"file": b64(photo())})
    visual_id: str = answer.json()["visual_id"]
    return visual_id


def get_picture(client: TestClient, link: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the pixels at a link."""
    answer = client.get(local(link))
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)))


class TestRegister:
    """/register and /upload."""

    def test_a_visual_id_is_16_hex_digits_and_a_second_upload_is_208(
        self, client: TestClient
    ) -> None:
        first = client.post("/v1/register", json={"file": b64(photo())})
        repeated = client.post("/v1/upload", files={"file": ("a.png", photo())})
        assert (first.status_code, first.json()["code"]) == (200, 200)
        assert (repeated.status_code, repeated.json()["code"]) == (200, 208)
        assert first.json()["visual_id"] == repeated.json()["visual_id"]
        assert len(bytes.fromhex(first.json()["visual_id"])) == 8

    def test_a_picture_that_the_store_lost_is_stored_again(
        self, client: TestClient, visual: str, settings: Settings
    ) -> None:
        for file in (settings.data_dir / "visuals").rglob("*.png"):
            file.unlink()
        refused(client.get(f"/v1/{visual}/info"), 404)
        answer = client.post("/v1/register", json={"file": b64(photo())})
        assert (answer.json()["code"], answer.json()["visual_id"]) == (208, visual)
        assert client.get(f"/v1/{visual}/info").status_code == 200

    def test_a_failing_store_is_503_and_nothing_is_registered(
        self, client: TestClient, settings: Settings
    ) -> None:
        broken = settings.data_dir / "visuals" / "a"
        broken.symlink_to(broken)
        answer = client.post("/v1/register", json={"file": b64(photo())})
        refused(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
        broken.unlink()
        assert client.post("/v1/register", json={"file": b64(photo())}).json()["code"] == 200

    def test_concurrent_uploads_register_one_picture_once(
        self, client: TestClient, settings: Settings
    ) -> None:
        def register(_: int) -> int:
            answer = client.post("/v1/register", json={"file": b64(photo())}).json()
            return int(answer["code"])

        with ThreadPoolExecutor(6) as threads:
            codes = list(threads.map(register, range(6)))
        assert sorted(codes) == [200, *[208] * 5]
        assert len(list((settings.data_dir / "visuals").rglob("*.png"))) == 1

    def test_another_organisation_has_another_id(self, client: TestClient, visual: str) -> None:
        answer = client.post("/v1/register", json={"file": b64(photo())}, headers=OTHER).json()
        assert answer["code"] == 200
        assert answer["visual_id"] != visual

    def test_invalid_pictures_are_refused(self, client: TestClient) -> None:
        refused(client.post("/v1/register", json={}), 400)
        refused(client.post("/v1/register", json={"file": b64(b"text")}), 415)
        refused(client.post("/v1/upload", files={"file": ("a", b"")}), 400)

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
    @pytest.mark.parametrize("route", ["/v1/register", "/v1/upload"])
    def test_a_truncated_picture_is_refused_and_not_stored(
        self, client: TestClient, settings: Settings, format: str, end: bytes, route: str
    ) -> None:
        cut = photo(format=format)[:-2000] + end
        body = refused(client.post(route, json={"file": b64(cut)}), 400)
        assert "damaged" in body["description"]
        assert [p for p in (settings.data_dir / "visuals").rglob("*") if p.is_file()] == []

    def test_a_jpeg_without_an_end_mark_is_registered(self, client: TestClient) -> None:
        picture = photo(format="JPEG").removesuffix(b"\xff\xd9")
        answer = client.post("/v1/register", json={"file": b64(picture)}).json()
        assert answer["code"] == 200
        assert client.get(f"/v1/{answer['visual_id']}/info").status_code == 200

    def test_org_image_key_needs_its_setting(self, client: TestClient) -> None:
        body = refused(client.post("/v1/register", json={"org_image_key": "a/b.png"}), 506)
        assert (body["status"], body["parameter"]) == ("NOT_IN_PROFILE", "org_image_key")

    def test_a_visual_survives_a_restart(self, settings: Settings) -> None:
        body = {"file": b64(photo())}
        with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
            visual = client.post("/v1/register", json=body).json()["visual_id"]
        with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
            assert client.get(f"/v1/{visual}/objects/info").status_code == 200


ROUTES = (
    ("GET", "info"),
    ("GET", "person/info"),
    ("GET", "objects/info"),
    ("GET", "background/info"),
    ("GET", "caption"),
    ("GET", "increase_resolution"),
    ("GET", "blur_bg"),
    ("POST", "objects/mask_generator"),
    ("POST", "image_to_psd"),
    ("POST", "remove_image"),
    ("POST", "objects/remove"),
    ("POST", "create"),
)
BODIES = {
    "objects/remove": {"changes": [{"mask_id": 1}]},
    "create": {"changes": [{"id": "x", "actions": {"age": "mid-20"}}]},
}


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize("visual_id", [NOBODY, "nosuch", "A" * 16, "z" * 5000, "..%2f..%2fetc"])
def test_an_unknown_visual_is_404(
    client: TestClient, method: str, route: str, visual_id: str
) -> None:
    refused(client.request(method, f"/v1/{visual_id}/{route}", json=BODIES.get(route)), 404)


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_another_organisations_visual_is_404(
    client: TestClient, visual: str, method: str, route: str
) -> None:
    path = f"/v1/{visual}/{route}"
    refused(client.request(method, path, json=BODIES.get(route), headers=OTHER), 404)
    assert client.get(f"/v1/{visual}/objects/info").status_code == 200


def test_removing_a_visual_removes_its_results(
    client: TestClient, visual: str, settings: Settings
) -> None:
    done = client.get(f"/v1/{visual}/blur_bg").json()
    client.get(f"/v1/{visual}/objects/info")
    assert client.post(f"/v1/{visual}/remove_image").status_code == 200
    refused(client.post(f"/v1/{visual}/remove_image"), 404)
    refused(client.get(local(done["image_res"])), 404)
    assert not [path for path in (settings.data_dir / "visuals").rglob("*") if path.is_file()]
    assert client.post("/v1/register", json={"file": b64(photo())}).json()["code"] == 200


class TestMasks:
    """objects/mask_generator."""

    def unpack(self, client: TestClient, answer: httpx.Response) -> dict[str, Image.Image]:
        """Return the files of the zip in an answer."""
        assert answer.status_code == 200, answer.text
        link = answer.json()["objects_masks"]
        file = client.get(local(link))
        assert file.headers["content-type"] == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(file.content))
        return {name: Image.open(archive.open(name)) for name in archive.namelist()}

    def test_the_zip_contains_the_map_and_a_mask_for_each_id(self, client: TestClient) -> None:
        answer = client.post("/v1/objects/mask_generator", json={"file": b64(photo())})
        entries = self.unpack(client, answer)
        known = client.post("/v1/register", json={"file": b64(photo())}).json()
        assert known["code"] == 208
        visual = known["visual_id"]
        assert f"{visual}.zip" in answer.json()["objects_masks"]
        panoptic = np.asarray(entries.pop(f"{visual}_panoptic.png"))
        assert panoptic.shape == (240, 320)
        ids = sorted(set(panoptic.ravel()) - {0})
        assert set(entries) == {f"{visual}_{i}.png" for i in ids}
        for i in ids:
            assert np.array_equal(np.asarray(entries[f"{visual}_{i}.png"]), (panoptic == i) * 255)

    def test_the_older_route_needs_no_body(self, client: TestClient, visual: str) -> None:
        entries = self.unpack(client, client.post(f"/v1/{visual}/objects/mask_generator"))
        assert f"{visual}_panoptic.png" in entries

    def test_masks_are_made_once_and_stored(
        self, client: TestClient, visual: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = client.get(f"/v1/{visual}/objects/info").json()

        def never(*_: Any) -> None:
            raise AssertionError("made again")

        monkeypatch.setattr("server.visuals.objects_mask_generator", never)
        assert client.get(f"/v1/{visual}/objects/info").json() == first
        self.unpack(client, client.post(f"/v1/{visual}/objects/mask_generator"))

    def test_a_refused_picture_is_not_registered(self, client: TestClient) -> None:
        red = encode(Image.new("RGB", (90, 90), (255, 0, 0)))
        body = {"file": b64(red), "content_moderation": True}
        refused(client.post("/v1/objects/mask_generator", json=body), 422)
        assert client.post("/v1/register", json={"file": b64(red)}).json()["code"] == 200


class TestObjectsRemove:
    """objects/remove."""

    def test_only_a_generated_mask_is_removed(self, client: TestClient, visual: str) -> None:
        body = {
            "changes": [{"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}]
        }
        answer = client.post(f"/v1/{visual}/objects/remove", json=body).json()
        assert answer["sid"].endswith(".JPEG")
        result = get_picture(client, answer["image_res"])
        changed = (result != noise(320, 240)).any(axis=2)
        assert changed[120, 160]
        assert not changed[:20].any()

    def test_a_drawn_mask_may_be_a_data_url_on_a_smaller_canvas(
        self, client: TestClient, visual: str
    ) -> None:
        drawn = "data:image/png;base64," + b64(mask(160, 120))
        body = {"changes": [{"mask_url": drawn, "mask_source": "manual"}]}
        answer = client.post(f"/v1/{visual}/objects/remove", json=body).json()
        changed = (get_picture(client, answer["image_res"]) != noise(320, 240)).any(axis=2)
        assert changed[62:178, 82:238].mean() > 0.9
        assert not changed[:60].any()
        assert not changed[:, :80].any()

    def test_an_edit_with_a_sid_continues_from_it(self, client: TestClient, visual: str) -> None:
        path = f"/v1/{visual}/objects/remove"
        strip = np.zeros((240, 320), np.uint8)
        strip[:10] = 255
        first = client.post(
            path,
            json={"changes": [{"mask_url": "data:;base64," + b64(encode(Image.fromarray(strip)))}]},
        ).json()
        second = client.post(
            path,
            json={
                "sid": first["sid"],
                "changes": [{"mask_url": "data:;base64," + b64(mask())}],
            },
        ).json()
        before = get_picture(client, first["image_res"])
        after = get_picture(client, second["image_res"])
        assert np.array_equal(before[:10], after[:10])
        assert not np.array_equal(before[60:180, 80:240], after[60:180, 80:240])

    def test_desired_resolution_fits_inside_unless_original_quality(
        self, client: TestClient, visual: str
    ) -> None:
        path = f"/v1/{visual}/objects/remove"
        body = BODIES["objects/remove"]
        query = {"desired_resolution": "nhd"}
        small = client.post(path, json=body, params=query).json()
        assert get_picture(client, small["image_res"]).shape[:2] == (360, 480)
        query["original_quality"] = "true"
        whole = client.post(path, json=body, params=query).json()
        assert get_picture(client, whole["image_res"]).shape[:2] == (240, 320)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, 400),
            ({"changes": []}, 400),
            ({"changes": [{}]}, 400),
            ({"changes": "x"}, 400),
            ({"changes": [{"mask_id": 0}]}, 400),
            ({"changes": [{"mask_id": "one"}]}, 400),
            ({"changes": [{"mask_id": 200}]}, 506),
            ({"changes": [{"mask_id": 1, "mask_url": "http://x/"}]}, 400),
            ({"changes": [{"mask_url": "http://127.0.0.1/"}]}, 460),
            ({"changes": [{"mask_url": "data:image/png;base64," + b64(mask(90, 320))}]}, 400),
            ({"changes": [{"mask_url": "data:,x"}] * 17}, 400),
            ({"changes": [{"mask_id": 1}], "desired_resolution": "huge"}, 400),
            ({"changes": [{"mask_id": 1}], "sid": "nosuch.JPEG"}, 404),
        ],
    )
    def test_invalid_requests_are_refused(
        self, client: TestClient, visual: str, body: dict[str, Any], code: int
    ) -> None:
        refused(client.post(f"/v1/{visual}/objects/remove", json=body), code)

    @pytest.mark.parametrize("with_sid", [False, True])
    def test_the_picture_is_read_after_a_mask_was_fetched(
        self, client: TestClient, visual: str, monkeypatch: pytest.MonkeyPatch, with_sid: bool
    ) -> None:
        """A slow host of a mask must not keep the file of the visual in memory."""
        sid = client.get(f"/v1/{visual}/blur_bg").json()["sid"]
        events: list[str] = []
        get = LocalObjects.get

        async def fetch(*_: Any) -> bytes:
            events.append("fetch")
            return mask()

        def read(store: LocalObjects, key: str) -> bytes:
            events.append("read")
            return get(store, key)

        monkeypatch.setattr(PictureFetcher, "fetch", fetch)
        monkeypatch.setattr(LocalObjects, "get", read)
        body = {"changes": [{"mask_url": "http://slow/mask"}]} | ({"sid": sid} if with_sid else {})
        answer = client.post(f"/v1/{visual}/objects/remove", json=body)
        assert answer.status_code == 200
        assert events == ["fetch", "read"]

    @pytest.mark.parametrize("unknown", ["visual", "sid"])
    def test_nothing_is_fetched_for_an_unknown_picture(
        self, client: TestClient, visual: str, monkeypatch: pytest.MonkeyPatch, unknown: str
    ) -> None:
        async def fetch(*_: Any) -> bytes:
            raise AssertionError("a mask was fetched")

        monkeypatch.setattr(PictureFetcher, "fetch", fetch)
        body: dict[str, Any] = {"changes": [{"mask_url": "http://slow/mask"}]}
        if unknown == "sid":
            body["sid"] = "nosuch.JPEG"
        known = NOBODY if unknown == "visual" else visual
        refused(client.post(f"/v1/{known}/objects/remove", json=body), 404)

    def test_a_sid_of_another_visual_is_404(self, client: TestClient, visual: str) -> None:
        sid = client.get(f"/v1/{visual}/blur_bg").json()["sid"]
        other = client.post("/v1/register", json={"file": b64(photo(100, 80))}).json()["visual_id"]
        refused(client.get(f"/v1/{other}/blur_bg", params={"sid": sid}), 404)

    def test_sync_false_takes_drawn_masks(
        self, client: TestClient, visual: str, wait_until: Callable[[Callable[[], bool]], None]
    ) -> None:
        drawn = {"mask_url": "data:;base64," + b64(mask())}
        changes = {"changes": [{"mask_id": 1}, drawn, drawn]}
        route = f"/v1/{visual}/objects/remove"
        waited = client.post(route, json=changes).json()
        queued = client.post(route, json={**changes, "sync": False}).json()
        wait_until(lambda: client.get(local(queued["image_res"])).status_code == 200)
        results = [client.get(local(answer["image_res"])).content for answer in (waited, queued)]
        assert results[0] == results[1]

    def test_sync_false_returns_the_sid_at_once(
        self, client: TestClient, visual: str, wait_until: Callable[[Callable[[], bool]], None]
    ) -> None:
        body = {**BODIES["objects/remove"], "sync": False}
        answer = client.post(f"/v1/{visual}/objects/remove", json=body).json()
        query = {"sid": answer["sid"]}
        wait_until(lambda: client.get(local(answer["image_res"])).status_code == 200)
        wait_until(lambda: client.get(f"/v1/{visual}/blur_bg", params=query).status_code == 200)


class TestLayers:
    """image_to_psd."""

    def test_the_file_opens_and_shows_the_picture(self, client: TestClient) -> None:
        image = Image.fromarray(noise(40, 30)).resize((400, 300))
        visual = client.post("/v1/register", json={"file": b64(encode(image))}).json()["visual_id"]
        answer = client.post(f"/v1/{visual}/image_to_psd")
        file = client.get(local(answer.json()["image_res"]))
        assert file.headers["content-type"] == "image/vnd.adobe.photoshop"
        with Image.open(io.BytesIO(file.content)) as psd:
            assert psd.size == (400, 300)
            assert np.array_equal(np.asarray(psd.convert("RGB")), np.asarray(image))


class TestCreate:
    """create: it validates everything, then names the profiles that have a model."""

    @pytest.fixture
    def client(self, settings: Settings) -> Any:
        """A client of a server that finds one face."""
        with TestClient(
            create_app(settings, FakeModels({FACE_ANALYSIS: OneFace()})), headers=TOKEN
        ) as client:
            yield client

    def test_a_person_has_the_documented_fields(self, client: TestClient, visual: str) -> None:
        (person,) = client.get(f"/v1/{visual}/person/info").json()
        assert set(person) == {"actions", "id", "labels", "oracle", "rect", "type"}
        assert person["type"] == "person"
        assert person["labels"] == ["age_26-42", "Female"]
        assert person["actions"] == person["oracle"] == {}
        assert person["rect"] == {"x": 90.0, "y": 60.0, "w": 120.0, "h": 120.0}
        assert client.get(f"/v1/{visual}/person/info").json() == [person]

    @pytest.mark.parametrize(
        ("actions", "code"),
        [
            ({"age": "mid-60", "diversity": "france", "expression": "happy"}, 506),
            ({"age": -10.0, "glasses": "6", "Beard": 1.5}, 506),
            ({"age": 11}, 400),
            ({"glasses": 2.5}, 400),
            ({"expression": "bored"}, 400),
            ({"wings": "on"}, 400),
            ({"age": None}, 400),
            ({"age": [1]}, 400),
            ({}, 400),
        ],
    )
    def test_changes_are_checked(
        self, client: TestClient, visual: str, actions: dict[str, Any], code: int
    ) -> None:
        person = client.get(f"/v1/{visual}/person/info").json()[0]["id"]
        body = {"changes": [{"id": person, "actions": actions}]}
        for sync in (True, False):
            answer = client.post(f"/v1/{visual}/create", json={**body, "sync": sync})
            status = refused(answer, code)["status"]
            assert status == ("NOT_IN_PROFILE" if code == 506 else "BAD_REQUEST")

    def test_an_unknown_person_is_506(self, client: TestClient, visual: str) -> None:
        answer = client.post(f"/v1/{visual}/create", json=BODIES["create"])
        body = refused(answer, 506)
        assert "no person" in body["description"]
        assert body["status"] == "INSUFFICIENT_DATA"

    def test_a_person_named_twice_is_400(self, client: TestClient, visual: str) -> None:
        person = client.get(f"/v1/{visual}/person/info").json()[0]["id"]
        change = {"id": person, "actions": {"age": "mid-20"}}
        refused(client.post(f"/v1/{visual}/create", json={"changes": [change, change]}), 400)


class TestReplace:
    """background/replace."""

    def test_a_colour_replaces_the_background(self, client: TestClient) -> None:
        body = {"file": b64(photo()), "bg_prompt": "a plain #102030 background", "sync": True}
        results = client.post("/v1/background/replace", json=body).json()["result"]
        assert len(results) == 4
        for link, seed, name in results:
            assert isinstance(seed, str)
            assert name in link
            picture = get_picture(client, link)
            assert abs(picture.shape[0] * picture.shape[1] - 1_000_000) < 2000
            assert tuple(picture[2, 2]) == (0x10, 0x20, 0x30)
        assert [int(seed) - int(results[0][1]) for _, seed, _ in results] == [0, 1, 2, 3]

    def test_original_quality_preserves_size_and_subject(self, client: TestClient) -> None:
        body = {
            "file": b64(photo()),
            "bg_prompt": "white",
            "sync": True,
            "original_quality": True,
            "num_results": 1,
            "seed": 7,
        }
        ((link, seed, _),) = client.post("/v1/background/replace", json=body).json()["result"]
        picture = get_picture(client, link)
        assert seed == "7"
        assert picture.shape == (240, 320, 3)
        assert np.array_equal(picture[120, 160], noise(320, 240)[120, 160])

    def test_links_are_returned_at_once_by_default(
        self, client: TestClient, wait_until: Callable[[Callable[[], bool]], None]
    ) -> None:
        body = {"file": b64(photo()), "bg_prompt": "red", "num_results": 2}
        results = client.post("/v1/background/replace", json=body).json()["result"]
        for link, _, _ in results:
            wait_until(lambda link=link: client.get(local(link)).status_code == 200)

    @pytest.mark.parametrize(
        ("extra", "code"),
        [
            ({}, 400),
            ({"bg_prompt": "red", "ref_image_file": b64(photo())}, 400),
            ({"bg_prompt": "in a living room interior, on a kitchen counter"}, 506),
            ({"ref_image_file": b64(photo())}, 506),
            ({"bg_prompt": "red", "num_results": 5}, 400),
            ({"bg_prompt": "red", "num_results": 0}, 400),
            ({"bg_prompt": "red", "seed": "x"}, 400),
        ],
    )
    def test_invalid_requests_are_refused(
        self, client: TestClient, extra: dict[str, Any], code: int
    ) -> None:
        body = {"file": b64(photo()), **extra}
        refused(client.post("/v1/background/replace", json=body), code)

    def test_every_result_blocked_is_422(self, client: TestClient, tmp_path: Path) -> None:
        clear = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
        clear.putpixel((50, 50), (255, 0, 0, 255))
        body = {
            "file": b64(encode(clear)),
            "bg_prompt": "red",
            "content_moderation": True,
            "sync": True,
        }
        refused(client.post("/v1/background/replace", json=body), 422)


def test_a_caption_needs_a_profile_with_a_captioner(client: TestClient, visual: str) -> None:
    answer = refused(client.get(f"/v1/{visual}/caption"), 506)
    assert "no model for captioning" in answer["description"]
    assert answer["status"] == "NOT_IN_PROFILE"


def test_a_profile_of_ones_own_is_named_by_its_file(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "someone" / "studio.toml"
    file.parent.mkdir()
    file.write_text('base = "lite"')
    own = settings.model_copy(update={"profile": str(file)})
    with TestClient(create_app(own, FakeModels()), headers=TOKEN) as client:
        visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
        text = refused(client.get(f"/v1/{visual}/caption"), 506)["description"]
    assert text.startswith("Profile studio.toml has no model for captioning;")
    assert "someone" not in text


class TestGenFill:
    """gen_fill: it validates everything, then names the profiles that have a model."""

    @pytest.mark.parametrize("sync", [True, False])
    def test_it_names_the_profiles_that_have_the_model(
        self, client: TestClient, sync: bool
    ) -> None:
        body = {"file": b64(photo()), "mask_file": b64(mask()), "prompt": "a dog", "sync": sync}
        answer = refused(client.post("/v1/gen_fill", json=body), 506)
        assert answer["status"] == "NOT_IN_PROFILE"
        assert answer["description"] == (
            "Profile lite has no model for generative fill;"
            " profiles that have one: open, sdxl, studio, bria (RETOUCH_PROFILE=open)."
        )

    @pytest.mark.parametrize(
        "extra",
        [{"prompt": ""}, {"num_results": 5}, {"mask_type": "x"}, {"mask_file": b64(mask(90, 320))}],
    )
    def test_fields_are_checked_first(self, client: TestClient, extra: dict[str, Any]) -> None:
        body = {"file": b64(photo()), "mask_file": b64(mask()), "prompt": "a dog", **extra}
        refused(client.post("/v1/gen_fill", json=body), 400)
