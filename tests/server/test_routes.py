"""Every route, with every way to send a picture."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.helpers.requests import ROUTES, b64, encode, fields, mask, noise, photo

Read = Callable[[httpx.Response], Image.Image]


@pytest.mark.parametrize("route", ROUTES)
def test_json_returns_a_link_to_a_picture(client: TestClient, read: Read, route: str) -> None:
    assert read(client.post(route, json=fields(route))).format == "PNG"


@pytest.mark.parametrize("route", ROUTES)
def test_urlencoded_bodies_work_too(client: TestClient, read: Read, route: str) -> None:
    read(client.post(route, data=fields(route)))


@pytest.mark.parametrize("route", ROUTES)
def test_multipart_works_with_any_filename_and_content_type(
    client: TestClient, read: Read, route: str
) -> None:
    files = {"file": ("holiday.gif", photo(), "image/jpg")}
    if route == "/v1/eraser":
        files["mask_file"] = ("", mask(), "text/plain")
    read(client.post(route, files=files, data={"sync": "True"}))


@pytest.mark.parametrize("name", ["file", "image", "image_file", "image_url"])
def test_a_part_may_have_any_usual_name(client: TestClient, read: Read, name: str) -> None:
    read(client.post("/v1/crop", files={name: ("a.png", photo(), "image/png")}))


def test_a_part_without_a_filename_is_still_a_picture(client: TestClient, read: Read) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + photo() + b"\r\n--x--\r\n"
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    read(client.post("/v1/crop", content=body, headers=kind))


def test_json_with_the_default_content_type_of_curl_works(client: TestClient, read: Read) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    read(client.post("/v1/crop", content=json.dumps(fields("/v1/crop")), headers=kind))


@pytest.mark.parametrize(
    "spell",
    [
        lambda digits: "data:image/png;base64," + digits,
        lambda digits: digits.rstrip("="),
        lambda digits: "\r\n".join(digits[i : i + 76] for i in range(0, len(digits), 76)),
        lambda digits: digits.replace("+", "-").replace("/", "_"),
    ],
    ids=["data URL", "no padding", "line breaks", "URL alphabet"],
)
@pytest.mark.parametrize("name", ["file", "image_url"])
def test_base64_works_in_every_variant(
    client: TestClient, read: Read, name: str, spell: Callable[[str], str]
) -> None:
    text = spell(b64(photo(33, 21)))
    if name == "image_url" and not text.startswith("data:"):
        text = "data:image/png;base64," + text
    assert read(client.post("/v1/background/remove", json={name: text})).size == (33, 21)


def test_a_plus_that_a_form_turned_into_a_space_is_restored(client: TestClient, read: Read) -> None:
    body = urlencode({"file": b64(photo())}).replace("%2B", "+")
    assert "+" in body
    kind = {"content-type": "application/x-www-form-urlencoded"}
    read(client.post("/v1/crop", content=body, headers=kind))


def test_the_url_is_used_before_the_file(client: TestClient, read: Read) -> None:
    address = "data:image/png;base64," + b64(photo(40, 30))
    body = {"file": b64(photo(50, 50)), "image_url": address}
    assert read(client.post("/v1/background/remove", json=body)).size == (40, 30)


def test_null_empty_and_unknown_fields_are_ignored(client: TestClient, read: Read) -> None:
    body = {"file": b64(photo()), "image_url": None, "scale": None, "sync": "", "colour": [{}]}
    read(client.post("/v1/background/blur", json=body))


@pytest.mark.parametrize("flag", [True, "true", "True", 1, "1"])
def test_flags_may_be_written_in_several_ways(client: TestClient, read: Read, flag: Any) -> None:
    pixels = np.dstack([noise(64, 64), np.full((64, 64), 128, np.uint8)])
    body = {"file": b64(encode(Image.fromarray(pixels))), "force_rmbg": flag}
    assert read(client.post("/v1/crop", json=body)).width < 64


@pytest.mark.parametrize("base", ["/v1//crop", "//v1/crop", "/v1/crop/"])
def test_a_base_url_with_an_extra_slash_works(client: TestClient, read: Read, base: str) -> None:
    read(client.post(f"http://testserver{base}", json=fields("/v1/crop")))


def test_remove_returns_alpha_at_the_input_size(client: TestClient, read: Read) -> None:
    result = read(client.post("/v1/background/remove", json=fields("/v1/background/remove")))
    assert (result.mode, result.size) == ("RGBA", (320, 240))
    alpha = np.asarray(result)[..., 3]
    assert alpha[120, 160] == 255
    assert alpha[0, 0] == 0


def test_eraser_changes_no_pixel_outside_the_mask(client: TestClient, read: Read) -> None:
    result = np.asarray(read(client.post("/v1/eraser", json=fields("/v1/eraser"))))
    hole = np.zeros((240, 320), bool)
    hole[60:-60, 80:-80] = True
    before = noise(320, 240)
    assert np.array_equal(result[~hole], before[~hole])
    assert not np.array_equal(result[hole], before[hole])


def test_a_mask_drawn_on_a_smaller_canvas_is_scaled(client: TestClient, read: Read) -> None:
    body = {"file": b64(photo(1000, 667)), "mask_file": b64(mask(500, 334))}
    assert read(client.post("/v1/eraser", json=body)).size == (1000, 667)


@pytest.mark.parametrize("factor", [2, 4, "2", "4"])
@pytest.mark.parametrize("place", ["query", "body"])
def test_increase_resolution_uses_its_factor(
    client: TestClient, read: Read, factor: Any, place: str
) -> None:
    field = {"desired_increase": factor}
    files = {"file": ("a.png", photo(), "image/png")}
    route = "/v1/image/increase_resolution"
    if place == "query":
        answer = client.post(route, files=files, params=field)
    else:
        answer = client.post(route, files=files, data=field)
    assert read(answer).size == (320 * int(factor), 240 * int(factor))


def test_expansion_returns_every_documented_field(client: TestClient, read: Read) -> None:
    body = {
        **fields("/v1/image_expansion"),
        "canvas_size": [500, 400],
        "original_image_size": [320, 240],
        "original_image_location": [50, -10],
        "seed": 1525972691,
        "prompt": "a wall",
    }
    answer = client.post("/v1/image_expansion", json=body)
    result = read(answer)
    assert result.size == (500, 400)
    assert np.array_equal(np.asarray(result)[0:230, 50:370], noise(320, 240)[10:])
    received = answer.json()
    assert received.pop("result_url")
    assert received == {
        "code": 200,
        "description": "SUCCESS",
        "message": "Finished sucessfully",
        "prompt": "a wall",
        "seed": 1525972691,
        "status": "SUCCESS",
    }


@pytest.mark.parametrize("canvas", ["[300,200]", "300, 200", ["300", "200"]])
def test_a_form_may_write_a_pair_in_several_ways(
    client: TestClient, read: Read, canvas: Any
) -> None:
    body = {"file": b64(photo()), "canvas_size": canvas}
    assert read(client.post("/v1/image_expansion", data=body)).size == (300, 200)


def test_expansion_chooses_a_seed_and_returns_it(client: TestClient) -> None:
    answers = [
        client.post("/v1/image_expansion", json=fields("/v1/image_expansion")).json()
        for _ in range(2)
    ]
    assert answers[0]["seed"] != answers[1]["seed"]


@pytest.mark.parametrize(
    ("route", "format", "expected"),
    [
        ("/v1/background/blur", "JPEG", "JPEG"),
        ("/v1/background/blur", "WEBP", "WEBP"),
        ("/v1/image/increase_resolution", "JPEG", "JPEG"),
        ("/v1/erase_foreground", "JPEG", "PNG"),
        ("/v1/image_expansion", "JPEG", "PNG"),
        ("/v1/background/remove", "JPEG", "PNG"),
        ("/v1/crop", "WEBP", "PNG"),
    ],
)
def test_a_result_is_png_if_pixels_or_alpha_must_stay_else_in_the_format_of_the_input(
    client: TestClient, read: Read, route: str, format: str, expected: str
) -> None:
    assert read(client.post(route, json={"file": b64(photo(format=format))})).format == expected


def test_metadata_is_removed(client: TestClient, read: Read) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    exif[0x010F] = "a camera"
    data = encode(Image.fromarray(noise(320, 240)), "JPEG", exif=exif)
    result = read(client.post("/v1/background/blur", json={"file": b64(data)}))
    assert not result.getexif()
    assert "exif" not in result.info


def test_a_rotated_photo_is_returned_upright(client: TestClient, read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(noise(320, 240)), "JPEG", exif=exif)
    result = read(client.post("/v1/background/remove", json={"file": b64(data)}))
    assert result.size == (240, 320)
