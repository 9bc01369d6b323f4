"""Finds the effect of each published field: sends a request with it and without it.

The models are fakes, so that every difference between two results comes from the field.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.testclient import TestClient

from models.roles import FACE_ANALYSIS, INPAINTING
from server.app import create_app
from server.settings import Settings
from tests.contract.api import PLACEMENT_OF
from tests.contract.outcomes import (
    DONE,
    EMPTY,
    LINKS,
    MISSING,
    REFUSED,
    Finding,
    Outcome,
    constant,
    word_for,
)
from tests.contract.route import Field, Route
from tests.contract.trial_inputs import (
    VALUES,
    OneFace,
    RampInpainting,
    Trial,
    address,
    picture,
)
from tests.contract.trials_v2 import base_v2, trials_v2
from tests.helpers.fake_models import FakeModels
from tests.helpers.version2 import finished
from tests.helpers.webhook_receiver import Receiver, receiving

_ABSENT = object()


class Laboratory:
    """A running server to try fields on."""

    def __init__(self, client: TestClient, receiver: Receiver) -> None:
        self._client = client
        self._receiver = receiver
        self._visual = self._registered("noise")
        self._other = self._registered("other")
        body = {"changes": [{"mask_id": 1}]}
        self._sid = client.post(f"/v1/{self._visual}/objects/remove", json=body).json()["sid"]
        self._person = client.get(f"/v1/{self._visual}/person/info").json()[0]["id"]
        self._request, self._other_request = map(self._requested, ("noise", "other"))

    def findings(self, route: Route, field: Field) -> list[Finding]:
        """Try each use of a field of a route."""
        found = []
        for trial in self._trials(route, field):
            before = self.outcome(route, trial.base)
            after = self.outcome(route, {**trial.base, field.name: trial.value})
            found.append(Finding(trial.about, word_for(before, after), after.status))
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
        received = self._result(route, answer)
        words = {}
        for name in names:
            values = [entry.get(name, _ABSENT) for entry in (received if is_list else [received])]
            word = MISSING if _ABSENT in values else DONE if any(values) else EMPTY
            words[f"[].{name}" if is_list else name] = word
        return words

    def _result(self, route: Route, answer: Any) -> Any:
        """Return the part of an answer that `Route.answer` describes."""
        if answer.status_code == 202:
            return finished(self._client, answer)["result"]
        received = answer.json()
        return received["result"] if route.version == "v2" and route.method == "POST" else received

    def _requested(self, kind: str) -> str:
        """Return the id of a finished request of v2."""
        body = {"image": picture(kind)}
        answer = self._client.post("/v2/image/edit/remove_background", json=body)
        return str(finished(self._client, answer)["request_id"])

    def _registered(self, kind: str) -> str:
        answer = self._client.post("/v1/register", json={"file": picture(kind)})
        return str(answer.json()["visual_id"])

    def outcome(self, route: Route, fields: Mapping[str, Any]) -> Outcome:
        """Send a request and return its outcome."""
        answer = self._send(route, fields)
        status, text = answer.status_code, answer.text
        if "webhook_url" in fields and status < 300:
            told = self._receiver.wait_for(urlsplit(fields["webhook_url"]).path).answer
            return Outcome(status, constant(text), (told["status"],))
        if status != 202 and (status != 200 or fields.get("sync") is False):
            return Outcome(status, constant(text), ())
        if status == 202:
            state = finished(self._client, answer)
            text = json.dumps(state.get("result") or state["error"])
        links = LINKS.findall(text)
        return Outcome(status, constant(text), tuple(map(self._digest, links)) or (constant(text),))

    def _send(self, route: Route, fields: Mapping[str, Any]) -> Any:
        body = dict(fields)
        path = re.sub(r"{(\w+)}", lambda name: str(body.pop(name[1])), route.url)
        in_query = {field.name for field in route.fields if field.place == "query"}
        query = {name: body.pop(name) for name in in_query & body.keys()}
        return self._client.request(route.method, path, params=query, json=body or None)

    def _digest(self, link: str) -> str:
        parts = urlsplit(link)
        content = self._client.get(f"{parts.path}?{parts.query}").content
        return hashlib.sha256(content).hexdigest()

    def base(self, route: Route) -> dict[str, Any]:
        """Return a request of a route in which every field has an effect."""
        if route.version == "v2":
            return base_v2(route, self._request)
        names = {field.name for field in route.fields}
        whole = {
            "visual_id": self._visual,
            "model_version": "2.2",
            "file": picture("noise"),
            "mask_file": picture("mask"),
            "prompt": "a boat",
            "bg_prompt": "red",
            "scene_description": "red",
            "sync": True,
            "seed": 4,
            "canvas_size": [400, 300],
            "changes": [{"id": self._person, "actions": {"age": "mid-60"}}],
        }
        if "bg_prompt" in names:
            whole.pop("prompt")  # another name of it
        elif route.path.endswith("/lifestyle_shot_by_image"):
            whole["ref_image_file"] = picture("other")
        elif route.path.endswith("/remove_image"):
            whole["visual_id"] = self._registered("red")
        elif route.path.endswith("/objects/remove"):
            whole["changes"] = [{"mask_id": 2}]
        return {name: value for name, value in whole.items() if name in names}

    def _trials(self, route: Route, field: Field) -> list[Trial]:
        base = self.base(route)
        if field.path == "webhook_url":
            return [Trial({**base, "sync": False}, self._receiver.url(_plain(route.url)))]
        if route.version == "v2":
            return trials_v2(route, field, base, self._other_request)
        if field.path in ("bg_prompt", "ref_image_url", "ref_image_file"):
            base.pop("bg_prompt", None)
        without = {name: value for name, value in base.items() if name != field.path}
        if "/product/lifestyle" in route.path and field.path in PLACEMENT_OF:
            base |= {"placement_type": PLACEMENT_OF[field.path], "aspect_ratio": "1:1"}
        if field.path == "prompt" and "bg_prompt" in base:
            base.pop("bg_prompt")
            return [Trial(base, "a plain blue background")]
        if field.path == "prompt" and "scene_description" in base:
            base.pop("scene_description")
            return [Trial(base, "a plain blue background")]
        special = (
            self._special(base, without)
            | self._of_product(route, base)
            | self._of_visual(route, base)
        )
        if field.path in special:
            return special[field.path]
        if field.path in ("image_url", "mask_url", "file", "mask_file"):
            kind = "mask" if field.path.startswith("mask") else "noise"
            file = "mask_file" if kind == "mask" else "file"
            bare = {name: value for name, value in base.items() if name != file}
            return [Trial(bare, picture(kind) if field.path == file else address(kind))]
        if field.path.startswith("changes[].actions."):
            name = field.path.rpartition(".")[2]
            actions = {name: field.enum[-1]}
            return [Trial(base, [{"id": self._person, "actions": actions}])]
        if "/product/lifestyle" in route.path:  # sent with the placement that uses it
            return [Trial(base, VALUES[field.path])]
        return [Trial(without, VALUES[field.path])]

    def _special(
        self, base: Mapping[str, Any], without: Mapping[str, Any]
    ) -> dict[str, list[Trial]]:
        """Return the trials of fields that need a special request to show their effect."""
        alpha = {**base, "file": picture("half clear")}
        seen = {**base, "file": picture("half seen")}
        clear = {**base, "file": picture("speck"), "content_moderation": True, "bg_prompt": "red"}
        change = {"id": self._person, "actions": {"age": "mid-20"}}
        return {
            "visual_id": [Trial(base, self._other)],
            "model_version": [Trial(base, "3.2")],
            "sid": [Trial(base, self._sid)],
            "bg_prompt": [
                Trial(without, "a plain blue background", "a colour"),
                Trial(without, "in a living room", "a scene"),
            ],
            "scene_description": [
                Trial(base, "a plain blue background", "a colour"),
                Trial(base, "in a living room", "a scene"),
            ],
            "force_rmbg": [Trial(alpha, True)],
            # An expansion in v1 has no alpha unless it is asked for.
            "preserve_alpha": [Trial(seen, "canvas_size" in base)],
            "content_moderation": [Trial({**base, "file": picture("red")}, True)],
            "sync": [Trial(clear, False)],
            "seed": [Trial(base, 5)],
            "changes": [Trial(base, [change])],
            "changes[].id": [Trial(base, [change])],
            "changes[].actions": [Trial(base, [change])],
        }

    def _of_product(self, route: Route, base: Mapping[str, Any]) -> dict[str, list[Trial]]:
        """Return the trials of fields of a product route that differ from those of other routes."""
        if not route.path.startswith("/product/"):
            return {}
        seen = {**base, "file": picture("half seen")}
        floating = {**base, "type": "float"}
        return {
            "preserve_alpha": [Trial(seen, False)],
            "shadow_width": [Trial(floating, 40)],
            "shadow_height": [Trial(floating, 40)],
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
            seen = {**base, "visual_id": self._registered("half seen")}
            return {
                "content_moderation": [Trial({**base, "visual_id": red}, True)],
                "force_rmbg": [Trial({**base, "visual_id": alpha}, True)],
                "preserve_alpha": [Trial(seen, False)],
            }
        return {}


def _plain(path: str) -> str:
    """Return a path without the braces of the names in it."""
    return path.replace("{", "").replace("}", "")


@contextmanager
def laboratory(data_dir: Path) -> Iterator[Laboratory]:
    """Start a server with fake models, its data in `data_dir`."""
    tokens: Any = "trials:trials"
    loopback: Any = "127.0.0.0/8"
    app = create_app(
        Settings(
            data_dir=data_dir,
            api_tokens=tokens,
            requests_per_minute=0,
            workers=2,
            moderation_threshold=0.2,  # a red subject on a white ground is blocked
            allowed_url_networks=loopback,
            org_image_url="http://127.0.0.1:9/{key}",  # nothing listens there
        ),
        FakeModels({INPAINTING: RampInpainting(), FACE_ANALYSIS: OneFace()}),
    )
    with (
        receiving() as receiver,
        TestClient(app, headers={"api_token": "trials"}) as client,
    ):
        yield Laboratory(client, receiver)
