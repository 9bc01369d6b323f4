"""Finds the effect of each published field: sends a request with it and without it.

The models are fakes, so that every difference between two results comes from the field.
"""

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from imaging.picture import Mask, Rgb
from models.roles import FACE_ANALYSIS, INPAINTING, Face
from server.app import create_app
from server.settings import Settings
from tests.contract.published import Field, Route
from tests.helpers.fake_models import FakeModels

DONE = "done"
REFUSED = "506 in `lite`"
ECHOED = "returned, no effect in `lite`"
IDLE = "checked, no effect in `lite`"
EMPTY = "empty in `lite`"
MISSING = "missing"
_LINK = re.compile(r'https?://[^"]+')
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class RampInpainting:
    """Fills each row with its own grey, so that a changed geometry changes the result."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Return `rgb` with its hole filled."""
        filled = rgb.copy()
        filled[hole] = (np.nonzero(hole)[0] % 251).astype(np.uint8)[:, None]
        return filled


class OneFace:
    """Finds one face in every picture."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        """Return it."""
        corners = np.zeros((68, 2), np.float32)
        return [Face((90.0, 60.0, 120.0, 120.0), corners, 1.0, 0.0, 0.0, (26, 42), "Female")]


@cache
def picture(kind: str) -> str:
    """Return a picture of 320 x 240 in base64.

    kind: noise, other (noise), red, half clear, clear, speck (clear but for a small part), mask,
    half mask, no picture.
    """
    if kind == "no picture":
        return base64.b64encode(b"nothing to see").decode()
    pixels = np.random.default_rng(kind == "other").integers(0, 256, (240, 320, 3), np.uint8)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 3).astype(np.uint8)
    image = Image.fromarray(pixels)
    if kind == "red":
        image = Image.new("RGB", (320, 240), (255, 0, 0))
    elif kind in ("half clear", "clear", "speck"):
        alpha = Image.new("L", image.size)
        if kind == "half clear":
            alpha.paste(255, (160, 0, 320, 240))
        elif kind == "speck":
            alpha.paste(255, (150, 110, 170, 130))
        image.putalpha(alpha)
    elif kind.endswith("mask"):
        image = Image.new("L", (320, 240))
        image.paste(255, (80, 60, 160 if kind == "half mask" else 240, 180))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def address(kind: str) -> str:
    """Return a picture as a data URL."""
    return f"data:image/png;base64,{picture(kind)}"


@dataclass(frozen=True)
class Trial:
    """One pair of requests: `base`, and the same with the field set to `value`.

    about: which use of the field is tried, if it has several.
    """

    base: Mapping[str, Any]
    value: Any
    about: str = ""


@dataclass(frozen=True)
class Outcome:
    """The parts of an answer that are the same each time.

    text: without links and random ids. results: digests of the results at its links; the text if it has no
    links.
    """

    status: int
    text: str
    results: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """The result of a trial. about: of the trial. word: the effect, DONE or one of the other constants."""

    about: str
    word: str
    status: int


class Laboratory:
    """A running server to try fields on."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._visual = self._registered("noise")
        self._other = self._registered("other")
        body = {"changes": [{"mask_id": 1}]}
        self._sid = client.post(f"/v1/{self._visual}/objects/remove", json=body).json()["sid"]
        self._person = client.get(f"/v1/{self._visual}/person/info").json()[0]["id"]

    def findings(self, route: Route, field: Field) -> list[Finding]:
        """Try each use of a field of a route."""
        found = []
        for trial in self._trials(route, field):
            before = self.outcome(route, trial.base)
            after = self.outcome(route, {**trial.base, field.name: trial.value})
            found.append(Finding(trial.about, _word(before, after), after.status))
        return found

    def answer_words(self, route: Route) -> dict[str, str]:
        """Return the word for each field of a route's answer to its base request.

        The fields of a list's entries are named `[].name`.
        """
        is_list = isinstance(route.answer, list)
        names = route.answer[0] if is_list else route.answer
        answer = self._send(route, self.base(route))
        if answer.status_code == 506:
            return dict.fromkeys((f"[].{name}" if is_list else name for name in names), REFUSED)
        received = answer.json()
        words = {}
        for name in names:
            values = [entry.get(name) for entry in (received if is_list else [received])]
            word = MISSING if None in values else DONE if any(values) else EMPTY
            words[f"[].{name}" if is_list else name] = word
        return words

    def _registered(self, kind: str) -> str:
        answer = self._client.post("/v1/register", json={"file": picture(kind)})
        return str(answer.json()["visual_id"])

    def outcome(self, route: Route, fields: Mapping[str, Any]) -> Outcome:
        """Send a request and return its outcome."""
        answer = self._send(route, fields)
        text = _LINK.sub("", _RANDOM.sub("", answer.text))
        if answer.status_code != 200 or fields.get("sync") is False:
            return Outcome(answer.status_code, text, ())
        links = _LINK.findall(answer.text)
        return Outcome(200, text, tuple(map(self._digest, links)) or (text,))

    def _send(self, route: Route, fields: Mapping[str, Any]) -> Any:
        body = dict(fields)
        path = "/v1" + route.path.replace("{visual_id}", body.pop("visual_id", ""))
        in_query = {field.name for field in route.fields if field.place == "query"}
        query = {name: body.pop(name) for name in in_query & body.keys()}
        return self._client.request(route.method, path, params=query, json=body or None)

    def _digest(self, link: str) -> str:
        parts = urlsplit(link)
        content = self._client.get(f"{parts.path}?{parts.query}").content
        return hashlib.sha256(content).hexdigest()

    def base(self, route: Route) -> dict[str, Any]:
        """Return a request of a route in which every field has an effect."""
        names = {field.name for field in route.fields}
        whole = {
            "visual_id": self._visual,
            "file": picture("noise"),
            "mask_file": picture("mask"),
            "prompt": "a boat",
            "bg_prompt": "red",
            "sync": True,
            "seed": 4,
            "canvas_size": [400, 300],
            "changes": [{"id": self._person, "actions": {"age": "mid-60"}}],
        }
        if route.path.endswith("/remove_image"):
            whole["visual_id"] = self._registered("red")
        elif route.path.endswith("/objects/remove"):
            whole["changes"] = [{"mask_id": 2}]
        return {name: value for name, value in whole.items() if name in names}

    def _trials(self, route: Route, field: Field) -> list[Trial]:
        base = self.base(route)
        if field.path in ("bg_prompt", "ref_image_url", "ref_image_file"):
            base.pop("bg_prompt")
        without = {name: value for name, value in base.items() if name != field.path}
        special = self._special(base, without) | self._of_visual(route, base)
        if field.path in special:
            return special[field.path]
        if field.path in ("image_url", "mask_url", "file", "mask_file"):
            kind = "mask" if field.path.startswith("mask") else "noise"
            file = "mask_file" if kind == "mask" else "file"
            bare = {name: value for name, value in base.items() if name != file}
            return [Trial(bare, picture(kind) if field.path == file else address(kind))]
        if field.type == "word or number":
            name = field.path.rpartition(".")[2]
            actions = {name: field.enum[-1]}
            return [Trial(base, [{"id": self._person, "actions": actions}])]
        return [Trial(without, _VALUES[field.path])]

    def _special(
        self, base: Mapping[str, Any], without: Mapping[str, Any]
    ) -> dict[str, list[Trial]]:
        """Return the trials of fields that need a special request to show their effect."""
        alpha = {**base, "file": picture("half clear")}
        clear = {**base, "file": picture("speck"), "content_moderation": True, "bg_prompt": "red"}
        change = {"id": self._person, "actions": {"age": "mid-20"}}
        return {
            "visual_id": [Trial(base, self._other)],
            "sid": [Trial(base, self._sid)],
            "bg_prompt": [
                Trial(without, "a plain blue background", "a colour"),
                Trial(without, "in a living room", "a scene"),
            ],
            "force_rmbg": [Trial(alpha, True)],
            "preserve_alpha": [Trial(alpha, False)],
            "content_moderation": [Trial({**base, "file": picture("red")}, True)],
            "sync": [Trial(clear, False)],
            "seed": [Trial(base, 5)],
            "changes": [Trial(base, [change])],
            "changes[].id": [Trial(base, [change])],
            "changes[].actions": [Trial(base, [change])],
        }

    def _of_visual(self, route: Route, base: Mapping[str, Any]) -> dict[str, list[Trial]]:
        """Return the trials of fields of a visual's route that differ from those of other routes."""
        if route.path.endswith("/objects/remove"):
            changes = {
                "changes": {"mask_id": 1},
                "changes[].mask_id": {"mask_id": 1},
                "changes[].mask_url": {"mask_url": address("mask")},
                "changes[].mask_source": {"mask_id": 2, "mask_source": "generated"},
                "changes[].actions": {"mask_id": 2, "actions": {"remove": False}},
                "changes[].actions.remove": {"mask_id": 2, "actions": {"remove": False}},
            }
            small = {**base, "desired_resolution": "nhd"}
            return {path: [Trial(base, [change])] for path, change in changes.items()} | {
                "original_quality": [Trial(small, True)]
            }
        if route.path.endswith("/remove_image"):
            return {"visual_id": [Trial(base, self._registered("half clear"))]}
        if route.path.endswith("/objects/info"):  # a clear picture has no objects
            return {"visual_id": [Trial(base, self._registered("clear"))]}
        if "{visual_id}" in route.path:
            red, alpha = self._registered("red"), self._registered("half clear")
            return {
                "content_moderation": [Trial({**base, "visual_id": red}, True)],
                "force_rmbg": [Trial({**base, "visual_id": alpha}, True)],
            }
        return {}


_VALUES = {
    "resolution": "1MP",
    "steps_num": 30,
    "is_private": True,
    "org_image_key": "a.png",
    "enhance": True,
    "mask_type": "automatic",
    "ref_image_url": address("other"),
    "ref_image_file": picture("other"),
    "prompt": "a wall",
    "negative_prompt": "people",
    "num_results": 2,
    "seed": 5,
    "fast": False,
    "refine_prompt": False,
    "enhance_ref_image": False,
    "original_quality": True,
    "scale": 1,
    "canvas_size": [500, 300],
    "original_image_size": [200, 150],
    "original_image_location": [10, 20],
    "desired_increase": 4,
    "desired_resolution": "nhd",
    "padding": 9,
}


def _word(before: Outcome, after: Outcome) -> str:
    if 506 in (before.status, after.status):
        return REFUSED
    if (before.status, before.results) != (after.status, after.results):
        return DONE
    return IDLE if before.text == after.text else ECHOED


@contextmanager
def laboratory(data_dir: Path) -> Iterator[Laboratory]:
    """Start a server with fake models, its data in `data_dir`."""
    tokens: Any = "trials:trials"
    app = create_app(
        Settings(
            data_dir=data_dir,
            api_tokens=tokens,
            workers=2,
            org_image_url="http://127.0.0.1/{key}",  # never reached: the address is private
        ),
        FakeModels({INPAINTING: RampInpainting(), FACE_ANALYSIS: OneFace()}),
    )
    with TestClient(app, headers={"api_token": "trials"}) as client:
        yield Laboratory(client)
