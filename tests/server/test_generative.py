"""The generative routes, with fake models that paint by seed and prompt."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models.errors import ReferenceUnsupportedError
from models.roles import CAPTIONING, FACE_ANALYSIS, GENERATIVE_FILL, SCENE_GENERATION, Face
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import GenerativeModels, SeedPainter
from tests.helpers.requests import TOKEN, b64, mask, noise, photo

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Wait = Callable[[Callable[[], bool]], None]


class TwoFaces:
    """A face analysis that returns two faces for every picture."""

    def analyse(self, rgb: Any, attributes: bool = True) -> list[Face]:
        """Return the two faces."""
        marks = np.zeros((68, 2), np.float32)
        boxes = ((60.0, 80.0, 50.0, 50.0), (210.0, 80.0, 40.0, 40.0))
        return [Face(box, marks, 1.0, 0.0, 0.0) for box in boxes]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of a server with generative models."""
    with TestClient(
        create_app(settings, GenerativeModels({FACE_ANALYSIS: TwoFaces()})), headers=TOKEN
    ) as client:
        yield client


def pixels(client: TestClient, link: str) -> Pixels:
    """Return the pixels of a result."""
    answer = client.get(local(link))
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)))


class TestGenFill:
    """gen_fill."""

    body = {"file": b64(photo()), "mask_file": b64(mask()), "prompt": "a dog", "sync": True}

    def test_pixels_outside_the_mask_do_not_change(self, client: TestClient) -> None:
        answer = client.post("/v1/gen_fill", json={**self.body, "seed": 7}).json()
        hole = np.zeros((240, 320), bool)
        hole[60:-60, 80:-80] = True
        assert len(answer["urls"]) == 4
        for link in answer["urls"]:
            result = pixels(client, link)
            assert np.array_equal(result[~hole], noise(320, 240)[~hole])
            assert len(np.unique(result[80:160, 100:220].reshape(-1, 3), axis=0)) == 1

    def test_each_result_can_be_repeated_by_its_seed(self, client: TestClient) -> None:
        many = client.post("/v1/gen_fill", json=self.body).json()
        assert len(set(many["seed"])) == 4
        for link, seed in zip(many["urls"], many["seed"], strict=True):
            one = client.post("/v1/gen_fill", json={**self.body, "seed": seed, "num_results": 1})
            repeated = pixels(client, one.json()["urls"][0])
            assert np.array_equal(repeated, pixels(client, link))

    def test_links_and_seeds_are_returned_at_once_by_default(
        self, client: TestClient, wait_until: Wait
    ) -> None:
        body = {key: value for key, value in self.body.items() if key != "sync"}
        later = client.post("/v1/gen_fill", json=body).json()
        wait_until(lambda: all(client.get(local(u)).status_code == 200 for u in later["urls"]))
        now = client.post("/v1/gen_fill", json={**self.body, "seed": later["seed"][0]}).json()
        assert now["seed"] == later["seed"]
        for first, second in zip(now["urls"], later["urls"], strict=True):
            assert np.array_equal(pixels(client, first), pixels(client, second))

    @pytest.mark.parametrize("sync", [True, False])
    def test_each_blocked_result_is_marked_on_its_own(
        self, settings: Settings, sync: bool, wait_until: Wait
    ) -> None:
        class Reddening(SeedPainter):
            def colour(self, seed: int, prompt: str) -> tuple[int, int, int]:
                return (255, 0, 0) if seed % 2 else (0, 200, 0)

        models = GenerativeModels({GENERATIVE_FILL: Reddening()})
        whole = b64(photo_of((0, 255, 0)))
        body = {
            "file": whole,
            "mask_file": b64(photo_of((255, 255, 255))),
            "prompt": "x",
            "seed": 10,
            "content_moderation": True,
            "sync": sync,
        }
        with TestClient(create_app(settings, models), headers=TOKEN) as client:
            answer = client.post("/v1/gen_fill", json=body).json()
            if sync:
                blocked = "422_image_blocked_due_to_content_moderation"
                assert [url == blocked for url in answer["urls"]] == [False, True, False, True]
                assert answer["seed"] == [10, None, 12, None]
            else:
                links = [local(url) for url in answer["urls"]]
                wait_until(lambda: all(client.get(u).status_code == 200 for u in links))
                assert [client.get(u).content == b"" for u in links] == [False, True, False, True]


def photo_of(colour: tuple[int, int, int]) -> bytes:
    """Return a picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (320, 240), colour).save(stream, "PNG")
    return stream.getvalue()


class TestScenes:
    """background/replace with a scene."""

    body = {
        "file": b64(photo()),
        "bg_prompt": "in a parking lot",
        "sync": True,
        "original_quality": True,
        "num_results": 2,
        "seed": 5,
    }

    def test_the_subject_keeps_its_pixels(self, client: TestClient) -> None:
        results = client.post("/v1/background/replace", json=self.body).json()["result"]
        assert [seed for _, seed, _ in results] == ["5", "6"]
        first, second = (pixels(client, link) for link, _, _ in results)
        assert np.array_equal(first[100:140, 140:180], noise(320, 240)[100:140, 140:180])
        assert not np.array_equal(first[0, 0], second[0, 0])

    def test_a_reference_picture_replaces_the_prompt(self, client: TestClient) -> None:
        body = {**self.body, "bg_prompt": None, "ref_image_file": b64(photo(90, 50))}
        assert len(client.post("/v1/background/replace", json=body).json()["result"]) == 2

    def test_prompt_stands_for_a_missing_bg_prompt(self, client: TestClient) -> None:
        def first(**fields: Any) -> Pixels:
            answer = client.post("/v1/background/replace", json={**self.body, **fields})
            assert answer.status_code == 200, answer.text
            return pixels(client, answer.json()["result"][0][0])

        wanted, other = first(), first(bg_prompt="on a beach")
        assert not np.array_equal(wanted, other)
        for missing in ({"bg_prompt": None}, {"bg_prompt": ""}):
            assert np.array_equal(first(**missing, prompt="in a parking lot"), wanted)
        assert np.array_equal(first(prompt="on a beach"), wanted)
        plain = first(bg_prompt=None, prompt="#102030")
        assert (plain[0, 0] == (16, 32, 48)).all()

    def test_beside_a_reference_picture_prompt_alone_changes_nothing(
        self, client: TestClient
    ) -> None:
        body = {**self.body, "bg_prompt": None, "ref_image_file": b64(photo(90, 50))}
        results = [
            client.post("/v1/background/replace", json={**body, **more}).json()["result"][0][0]
            for more in ({}, {"prompt": "#102030"})
        ]
        without, beside = (pixels(client, link) for link in results)
        assert np.array_equal(without, beside)

    def test_a_model_without_reference_support_gets_a_caption_of_it(
        self, settings: Settings
    ) -> None:
        prompts: list[str] = []

        class Reader(SeedPainter):
            def scenes(self, rgb: Any, alpha: Any, prompt: str, *rest: Any, **named: Any) -> Any:
                if named["reference"] is not None:
                    raise ReferenceUnsupportedError
                prompts.append(prompt)
                return super().scenes(rgb, alpha, prompt, *rest, **named)

        models = GenerativeModels({SCENE_GENERATION: Reader()})
        body = {**self.body, "bg_prompt": None, "ref_image_file": b64(photo(90, 50))}
        with TestClient(create_app(settings, models), headers=TOKEN) as client:
            assert client.post("/v1/background/replace", json=body).status_code == 200
        assert prompts == ["a picture of noise"]

    @pytest.mark.parametrize("sync", [True, False])
    def test_a_reference_needs_a_model_that_reads_it_or_a_captioner(
        self, settings: Settings, sync: bool, wait_until: Wait
    ) -> None:
        class PromptsOnly(SeedPainter):
            def scenes(self, *args: Any, **named: Any) -> Any:
                raise ReferenceUnsupportedError

        class NoCaptions(GenerativeModels):
            fakes = {r: fake for r, fake in GenerativeModels.fakes.items() if r != CAPTIONING}

        models = NoCaptions({SCENE_GENERATION: PromptsOnly()})
        reference = {"bg_prompt": None, "ref_image_file": b64(photo(90, 50))}
        body = {**self.body, **reference, "sync": sync}
        with TestClient(create_app(settings, models), headers=TOKEN) as client:
            answer = client.post("/v1/background/replace", json=body)
            if not sync:
                link = local(answer.json()["result"][0][0])
                wait_until(lambda: client.get(link).status_code != 404)
                answer = client.get(link)
        refusal = refused(answer, 506)
        assert refusal["status"] == "NOT_IN_PROFILE"
        assert "no model for captioning" in refusal["description"]

    def corner(self, client: TestClient, **fields: Any) -> Pixels:
        """Return a pixel of the scene that a request generates."""
        answer = client.post("/v1/background/replace", json={**self.body, **fields}).json()
        corner: Pixels = pixels(client, answer["result"][0][0])[0, 0]
        return corner

    def test_a_negative_prompt_has_no_effect_on_fast_scenes(self, client: TestClient) -> None:
        bare = {"negative_prompt": None}
        cars = {"negative_prompt": "cars"}
        assert np.array_equal(self.corner(client, **bare), self.corner(client, **cars))
        slow = self.corner(client, fast=False, **bare)
        assert not np.array_equal(slow, self.corner(client, fast=False, **cars))

    def test_refine_prompt_can_be_turned_off(self, client: TestClient) -> None:
        plain = self.corner(client, refine_prompt=False)
        assert not np.array_equal(plain, self.corner(client))


class TestExpansion:
    """image_expansion with a generative model."""

    body = {"file": b64(photo()), "canvas_size": [500, 400], "seed": 3}

    def test_the_input_is_identical_and_the_picture_is_described(self, client: TestClient) -> None:
        answer = client.post("/v1/image_expansion", json=self.body).json()
        result = pixels(client, answer["result_url"])
        assert answer["prompt"] == "a picture of noise"
        assert np.array_equal(result[80:320, 90:410], noise(320, 240))

    def test_the_seam_has_no_new_colour(self, client: TestClient) -> None:
        plain = b64(photo_of((40, 150, 150)))
        answer = client.post("/v1/image_expansion", json={**self.body, "file": plain}).json()
        row = pixels(client, answer["result_url"])[200, 400:].astype(int)
        assert row[0].tolist() == [40, 150, 150]
        low, high = np.minimum(row[0], row[-1]), np.maximum(row[0], row[-1])
        assert ((row >= low - 1) & (row <= high + 1)).all()

    @pytest.mark.parametrize("sync", [True, False])
    def test_prompt_and_seed_of_an_answer_repeat_it(
        self, client: TestClient, sync: bool, wait_until: Wait
    ) -> None:
        sent = client.post("/v1/image_expansion", json={**self.body, "sync": sync}).json()
        wait_until(lambda: client.get(local(sent["result_url"])).status_code == 200)
        body = {**self.body, "prompt": sent["prompt"], "seed": sent["seed"]}
        repeated = client.post("/v1/image_expansion", json=body).json()
        first, second = (pixels(client, answer["result_url"]) for answer in (sent, repeated))
        assert np.array_equal(first, second)


def test_a_visual_is_described(client: TestClient) -> None:
    visual = client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"]
    assert client.get(f"/v1/{visual}/caption").json() == {"caption": "a picture of noise"}


class TestCreate:
    """create with a model of face editing."""

    @pytest.fixture
    def visual(self, client: TestClient) -> str:
        """A registered picture with two people."""
        return str(client.post("/v1/register", json={"file": b64(photo())}).json()["visual_id"])

    @pytest.fixture
    def people(self, client: TestClient, visual: str) -> list[str]:
        """The ids of the two people."""
        return [person["id"] for person in client.get(f"/v1/{visual}/person/info").json()]

    @pytest.mark.parametrize("route", ["person/info", "info"])
    def test_every_offered_action_and_word_is_accepted(
        self, client: TestClient, visual: str, route: str
    ) -> None:
        person = client.get(f"/v1/{visual}/{route}").json()[0]
        assert set(person["oracle"]) < set(person["actions"])
        for name, words in person["actions"].items():
            for word in words:
                body = {"changes": [{"id": person["id"], "actions": {name: word}}]}
                answer = client.post(f"/v1/{visual}/create", json=body)
                assert answer.status_code == 200, (name, word)

    def test_only_the_chosen_face_changes(
        self, client: TestClient, visual: str, people: list[str]
    ) -> None:
        body = {"changes": [{"id": people[0], "actions": {"age": "mid-60", "glasses": 3}}]}
        answer = client.post(f"/v1/{visual}/create", json=body).json()
        changed = (pixels(client, answer["image_res"]) != noise(320, 240)).any(axis=2)
        assert changed[90:120, 70:100].all()
        assert not changed[:, 140:].any()
        assert not changed[:60].any()

    def test_people_change_one_after_the_other_through_sid(
        self, client: TestClient, visual: str, people: list[str]
    ) -> None:
        path = f"/v1/{visual}/create"
        first, second = ({"id": person, "actions": {"age": "mid-20"}} for person in people)
        half = client.post(path, json={"changes": [first]}).json()
        whole = client.post(path, json={"sid": half["sid"], "changes": [second]}).json()
        before, after = (pixels(client, answer["image_res"]) for answer in (half, whole))
        assert np.array_equal(before[:, :140], after[:, :140])
        assert (before[90:110, 220:240] != after[90:110, 220:240]).any()
        twice = client.post(path, json={"sid": whole["sid"], "changes": [first]})
        assert "at once" in refused(twice, 400)["description"]

    def test_desired_resolution_is_of_the_result(
        self, client: TestClient, visual: str, people: list[str]
    ) -> None:
        body = {
            "changes": [{"id": people[0], "actions": {"gender": -2.5}}],
            "desired_resolution": "nhd",
        }
        answer = client.post(f"/v1/{visual}/create", json=body).json()
        assert pixels(client, answer["image_res"]).shape[:2] == (360, 480)
