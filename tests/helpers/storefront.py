"""A program that makes product pictures with v1, as public storefront programs do: what it sends and reads.

Written down again from what they send. Facts from AdSnap Studio and its copies, Bria's examples for shops (skill
`ecommerce` 1.3.5) and its nodes for ComfyUI (ComfyUI-BRIA-API 2.1.19). What looks odd is on purpose: that is
what these programs send.
"""

import base64
import io
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from PIL import Image

HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
AUTOMATIC_READ = 7
"""How many results of an automatic placement the nodes show."""
_TIMEOUT_S = 300
_FIRST_ADDRESS = re.compile(r'.*"result" *: *\[ *\[ *"([^"]*)"')
"""How the shell script of the skill finds the first lifestyle shot in the text of an answer."""


def digits(picture: bytes) -> str:
    """Return a file in base64."""
    return base64.b64encode(picture).decode()


class RefusedError(Exception):
    """The text that a program shows to people: its own words, with the HTTP status in it."""


class Storefront:
    """The functions of the program.

    http: a client with the server's address and a token. It follows links as they are given, without a token.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._http.post(f"/v1/{path}", headers=HEADERS, json=body)
        if answer.status_code >= 400:
            told = answer.json()
            reason = told.get("message") or told.get("error") or answer.text
            raise RefusedError(f"{path} failed: {answer.status_code} {reason}")
        read: dict[str, Any] = answer.json()
        return read

    def get(self, link: str) -> Image.Image:
        """Download a result."""
        answer = self._http.get(_here(link), headers={"api_token": ""})
        assert answer.status_code == 200, answer.text
        picture = Image.open(io.BytesIO(answer.content))
        picture.load()
        return picture

    def is_ready(self, link: str) -> bool:
        """Whether a link of an answer that came at once has its picture: the program asks with HEAD."""
        return bool(self._http.head(_here(link), headers={"api_token": ""}).status_code == 200)

    def wait(self, links: Sequence[str]) -> None:
        """Ask until every link has its picture."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not all(map(self.is_ready, links)):
            assert time.monotonic() < deadline, "the pictures were never ready"
            time.sleep(0.1)

    def cutout(self, picture: bytes) -> str:
        """Cut a product out; return the link. The skill for shops sends nothing but the file."""
        return first_link(self._post("product/cutout", {"file": digits(picture)}))

    def packshot(self, picture: bytes, background_color: str = "#FFFFFF", sku: str = "") -> str:
        """Make a packshot of an uploaded photograph; return the link."""
        body = {
            "file": digits(picture),
            "background_color": background_color,
            "force_rmbg": False,
            "content_moderation": False,
        }
        answer = self._post("product/packshot", body | ({"sku": sku} if sku else {}))
        return str(answer["result_url"])

    def packshot_of_link(self, link: str) -> str:
        """Make a packshot of an earlier result by its link."""
        body = {"image_url": link, "background_color": "#FFFFFF"}
        return first_link(self._post("product/packshot", body))

    def shadow(self, picture: bytes, shadow_type: str = "natural", **chosen: Any) -> str:
        """Add a shadow to an uploaded photograph, which is no cut-out; return the link.

        chosen: what the person changed. A transparent background is no field at all.
        """
        body = {
            "shadow_type": shadow_type,
            "shadow_color": "#000000",
            "shadow_intensity": 60,
            "force_rmbg": False,
            "content_moderation": False,
            "shadow_offset": [0, 15],
            "file": digits(picture),
            "shadow_blur": 20,
            "shadow_height": 70,
        }
        return str(self._post("product/shadow", body | chosen)["result_url"])

    def lifestyle_by_text(
        self, picture: bytes, scene: str, placement: str = "Original", **chosen: Any
    ) -> dict[str, Any]:
        """Ask for lifestyle shots; placement: as people see it. Return the answer."""
        body = {
            "file": digits(picture),
            "scene_description": scene,
            "fast": True,
            "optimize_description": True,
            **_placed(placement),
        }
        return self._post("product/lifestyle_shot_by_text", body | chosen)

    def lifestyle_by_image(
        self, picture: bytes, reference: bytes, placement: str = "Original", **chosen: Any
    ) -> dict[str, Any]:
        """Ask for lifestyle shots like a reference picture; return the answer."""
        body = {
            "file": digits(picture),
            "ref_image_file": digits(reference),
            "enhance_ref_image": True,
            "ref_image_influence": 1.0,
            **_placed(placement),
        }
        return self._post("product/lifestyle_shot_by_image", body | chosen)

    def node_shot(self, picture: bytes, scene: str, placement: str, **placed: Any) -> list[str]:
        """Ask for a shot as a node of ComfyUI does, and wait for it; return the links that it shows."""
        body = {
            "file": digits(picture),
            "placement_type": placement,
            "sync": True,
            "num_results": 1,
            "force_rmbg": False,
            "content_moderation": False,
            "scene_description": scene,
            "mode": "fast",
            "optimize_description": True,
        }
        rows = self._post("product/lifestyle_shot_by_text", body | placed)["result"]
        shown = rows[:AUTOMATIC_READ] if placement == "automatic" else rows[:1]
        return [row[0] for row in shown]

    def skill_shot(self, path: str, link: str, **fields: Any) -> str:
        """Ask for a shot of an earlier result as the shell script of the skill does; return the link."""
        answer = self._http.post(f"/v1/product/{path}", json={"image_url": link, **fields})
        assert answer.status_code == 200, answer.text
        found = _FIRST_ADDRESS.match(answer.text)
        assert found is not None, answer.text
        return found[1]

    def hd_image(self, prompt: str, **chosen: Any) -> dict[str, Any]:
        """Generate pictures from a prompt; return the answer."""
        body = {"prompt": prompt, "num_results": 1, "sync": True, "negative_prompt": ""}
        return self._post("text-to-image/hd/2.2", body | {"aspect_ratio": "1:1"} | chosen)

    def enhanced(self, prompt: str) -> str:
        """Return a prompt with more detail; if that fails, the prompt itself."""
        try:
            return str(self._post("prompt_enhancer", {"prompt": prompt})["prompt variations"])
        except RefusedError:
            return prompt


def _here(link: str) -> str:
    """Return a link without its host: a test's client reaches the server under another name."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


def _placed(placement: str) -> dict[str, Any]:
    """Return the fields of a placement, with the values of a form that nobody has touched."""
    name = placement.lower().replace(" ", "_")
    fields: dict[str, Any] = {
        "placement_type": name,
        "num_results": 4,
        "sync": False,
        "original_quality": False,
        "force_rmbg": False,
        "content_moderation": False,
    }
    if name in ("automatic", "manual_placement", "custom_coordinates"):
        fields["shot_size"] = [1000, 1000]
    if name == "manual_placement":
        fields["manual_placement_selection"] = ["upper_left"]
    elif name == "manual_padding":
        fields["padding_values"] = [0, 0, 0, 0]
    elif name == "custom_coordinates":
        fields |= {"foreground_image_size": [500, 500], "foreground_image_location": [0, 0]}
    return fields


def first_link(answer: Mapping[str, Any]) -> str:
    """Return the picture of an answer, wherever it is: the program looks in this order."""
    if "result_url" in answer:
        return str(answer["result_url"])
    if "result_urls" in answer:
        return str(answer["result_urls"][0])
    for row in answer.get("result", ()):
        return str(row["urls"][0] if isinstance(row, dict) else row[0])
    return str(answer["urls"][0])


def links(answer: Mapping[str, Any], most: int) -> list[str]:
    """Return the links of an answer that came at once, at most so many, as the program collects them.

    It takes every text in a row of `result` for an address. What is none is never ready, so it is left out here.
    """
    found: list[Any] = list(answer.get("urls", ()))
    if "urls" not in answer:
        for row in answer["result"]:
            found += row["urls"] if isinstance(row, dict) else row
            if len(found) >= most:
                break
    return [link for link in found[:most] if isinstance(link, str) and link.startswith("http")]
