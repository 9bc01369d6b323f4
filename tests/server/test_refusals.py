"""Invalid requests of all kinds: a clear 4xx with the API's error body, and nothing is stored."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import ROUTES, TOKEN, b64, encode, fields, mask, noise, photo


@pytest.fixture(autouse=True)
def nothing_left_behind(settings: Settings, fakes: FakeModels) -> Any:
    """Check that no refused request starts work or stores a result."""
    yield
    assert fakes.use_count == 0
    assert [path for path in (settings.data_dir / "results").rglob("*") if path.is_file()] == []


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few kilobytes that decompresses to width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width // 8 + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def animation(format: str) -> bytes:
    """Return an animation of three frames."""
    frames = [Image.fromarray(noise(40 + i, 40)[:40, :40]) for i in range(3)]
    return encode(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


@pytest.mark.parametrize("route", ROUTES)
def test_no_picture_is_400(client: TestClient, route: str) -> None:
    refused(client.post(route, json={}), 400)
    refused(client.post(route), 400)
    refused(client.post(route, data={"sync": "true"}), 400)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 400),
        (b"hello, I am no picture at all", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", 415),
        (encode(Image.fromarray(noise(300, 300)), "GIF"), 415),
        (encode(Image.fromarray(noise(300, 300)), "TIFF"), 415),
        (photo(300, 300)[:200], 400),
        (photo(300, 300, format="JPEG")[:3000], 400),
        (photo(300, 300, format="JPEG")[:3000] + b"\xff\xd9", 400),
        (bomb(10_000, 10_000), 413),
        (animation("PNG"), 415),
        (animation("GIF"), 415),
    ],
    ids=[
        *("empty", "text", "svg", "gif", "tiff", "truncated png", "truncated jpeg"),
        *("truncated jpeg with an end", "bomb", "apng", "animated gif"),
    ],
)
def test_invalid_pictures_are_refused(
    client: TestClient, route: str, data: bytes, code: int
) -> None:
    body = {"mask_file": ("m.png", mask(300, 300), "image/png")} if route == "/v1/eraser" else {}
    files = {"file": ("a.png", data, "image/png"), **body}
    refused(client.post(route, files=files, params={"desired_increase": 2}), code)


@pytest.mark.parametrize("route", ["/v1/background/remove", "/v1/image/increase_resolution"])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16"])
def test_an_undocumented_colour_mode_is_415(client: TestClient, route: str, mode: str) -> None:
    image = Image.fromarray(noise(300, 300))
    if mode == "I;16":
        image = Image.fromarray(noise(300, 300)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    body = refused(client.post(route, json={"file": b64(encode(image))}), 415)
    assert body["parameter"] == "file"


@pytest.mark.parametrize("route", ["/v1/background/remove", "/v1/image/increase_resolution"])
def test_webp_is_415_where_only_jpeg_and_png_are_documented(client: TestClient, route: str) -> None:
    refused(client.post(route, json={"file": b64(photo(format="WEBP"))}), 415)


@pytest.mark.parametrize("text", ["not base64!", "ÄÖÜ", "data:image/png;base64,%%%", "a"])
def test_what_is_not_base64_is_400(client: TestClient, text: str) -> None:
    refused(client.post("/v1/crop", json={"file": text}), 400)


@pytest.mark.parametrize("value", [7, True, {"a": 1}, [7], [[]], 1.5])
def test_a_picture_field_of_a_wrong_type_is_400(client: TestClient, value: Any) -> None:
    refused(client.post("/v1/crop", json={"file": value}), 400)
    refused(client.post("/v1/crop", json={"image_url": value}), 400)


@pytest.mark.parametrize(
    "address",
    [
        "URL",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "http://127.0.0.1:9/a.png",
        "http://localhost/a.png",
        "http://[::1]/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://nowhere.invalid/a.png",
        "http://",
        "http://[",
        "http://user:secret@127.0.0.1/",
        "http://a" + ".b" * 3000,
    ],
)
def test_a_forbidden_or_unreachable_url_is_460(client: TestClient, address: str) -> None:
    refused(client.post("/v1/crop", json={"image_url": address}), 460)


@pytest.mark.parametrize(
    ("route", "extra"),
    [
        ("/v1/background/blur", {"scale": 0}),
        ("/v1/background/blur", {"scale": 6}),
        ("/v1/background/blur", {"scale": "much"}),
        ("/v1/background/blur", {"scale": 2.5}),
        ("/v1/background/blur", {"scale": [1, 2]}),
        ("/v1/background/blur", {"scale": 10**400}),
        ("/v1/background/blur", {"force_rmbg": "perhaps"}),
        ("/v1/crop", {"padding": -1}),
        ("/v1/crop", {"padding": "wide"}),
        ("/v1/crop", {"content_moderation": 7}),
        ("/v1/crop", {"sync": {"a": 1}}),
        ("/v1/eraser", {"mask_type": "magic"}),
        ("/v1/image/increase_resolution", {"desired_increase": 3}),
        ("/v1/image/increase_resolution", {"desired_increase": "x"}),
        ("/v1/image_expansion", {"canvas_size": [5001, 5000]}),
        ("/v1/image_expansion", {"canvas_size": [0, 10]}),
        ("/v1/image_expansion", {"canvas_size": [10]}),
        ("/v1/image_expansion", {"canvas_size": "wide"}),
        ("/v1/image_expansion", {"canvas_size": 7}),
        ("/v1/image_expansion", {"canvas_size": [10, None]}),
        ("/v1/image_expansion", {"original_image_size": [100_000, 100_000]}),
        ("/v1/image_expansion", {"original_image_size": [-5, 5]}),
        ("/v1/image_expansion", {"original_image_location": [1000, 0]}),
        ("/v1/image_expansion", {"original_image_location": [0, -5000]}),
        ("/v1/image_expansion", {"original_image_location": [10**30, 0]}),
        ("/v1/image_expansion", {"seed": "x"}),
        ("/v1/image_expansion", {"seed": 2**63}),
        ("/v1/image_expansion", {"prompt": ["a"]}),
        ("/v1/image_expansion", {"prompt": "a" * 10_001}),
        ("/v1/image_expansion", {"prompt": "\0"}),
    ],
)
def test_a_field_of_the_wrong_type_or_out_of_bounds_is_400(
    client: TestClient, route: str, extra: dict[str, Any]
) -> None:
    refused(client.post(route, json={**fields(route), **extra}), 400)


def test_text_that_cannot_be_sent_back_is_400(client: TestClient) -> None:
    body = json.dumps({**fields("/v1/image_expansion"), "prompt": "\ud800"})
    kind = {"content-type": "application/json"}
    refused(client.post("/v1/image_expansion", content=body, headers=kind), 400)


def test_the_wrong_field_is_named(client: TestClient) -> None:
    answer = client.post("/v1/background/blur", json={"file": b64(photo()), "scale": 9})
    assert refused(answer, 400)["parameter"] == "scale"


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"a"', b"\xff\xfe{", b"[" * 100_000, b"9" * 9999])
def test_a_body_that_is_no_json_object_is_400(client: TestClient, body: bytes) -> None:
    kind = {"content-type": "application/json"}
    refused(client.post("/v1/crop", content=body, headers=kind), 400)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary here"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
        ),
        ("multipart/form-data; boundary=x; charset=rot13", b"--x\r\n"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % i for i in range(100))),
        ("application/x-www-form-urlencoded", b"\xff=1"),
    ],
)
def test_a_broken_form_is_400(client: TestClient, kind: str, body: bytes) -> None:
    refused(client.post("/v1/crop", content=body, headers={"content-type": kind}), 400)


def test_an_unsupported_content_type_is_415(client: TestClient) -> None:
    refused(client.post("/v1/crop", content=photo(), headers={"content-type": "image/png"}), 415)


@pytest.mark.parametrize("size", [(100, 320), (320, 320), (24, 16)])
def test_a_mask_of_another_ratio_is_400(client: TestClient, size: tuple[int, int]) -> None:
    body = {"file": b64(photo()), "mask_file": b64(mask(*size))}
    refused(client.post("/v1/eraser", json=body), 400)


def test_an_eraser_without_a_mask_is_400(client: TestClient) -> None:
    assert (
        refused(client.post("/v1/eraser", json={"file": b64(photo())}), 400)["parameter"] == "mask"
    )


@pytest.mark.parametrize("size", [(215, 400), (400, 215), (1, 1)])
def test_a_side_under_216_is_406(client: TestClient, size: tuple[int, int]) -> None:
    body = {"file": b64(photo(*size))}
    refused(client.post("/v1/image/increase_resolution", json=body), 406)


def test_an_enlargement_beyond_8192_squared_is_413(client: TestClient) -> None:
    data = encode(Image.new("RGB", (2100, 2100)))
    body = {"file": b64(data), "desired_increase": 4}
    refused(client.post("/v1/image/increase_resolution", json=body), 413)


def test_a_padding_beyond_8192_squared_is_413(client: TestClient) -> None:
    refused(client.post("/v1/crop", json={"file": b64(photo()), "padding": 5000}), 413)


def test_a_picture_over_12_mb_is_413_and_one_of_12_mb_is_decoded(client: TestClient) -> None:
    whole = 12 * 2**20
    refused(client.post("/v1/crop", files={"file": ("a", bytes(whole + 1))}), 413)
    refused(client.post("/v1/crop", json={"file": b64(bytes(whole + 1))}), 413)
    refused(client.post("/v1/crop", files={"file": ("a", bytes(whole))}), 415)


def test_a_body_over_the_limit_is_413_declared_or_not(tmp_path: Path, fakes: FakeModels) -> None:
    settings = Settings(data_dir=tmp_path, max_body_mb=1)
    chunk = bytes(2**18)
    with TestClient(create_app(settings, fakes), headers=TOKEN) as client:
        refused(client.post("/v1/crop", content=chunk * 5), 413)
        refused(client.post("/v1/crop", content=(chunk for _ in range(5))), 413)


def test_a_wrong_method_is_405_and_an_unknown_route_404(client: TestClient) -> None:
    answer = client.get("/v1/crop")
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"
    refused(client.post("/v1/no_such"), 404)
    refused(client.get("/no_such"), 404)


def test_refusals_carry_cors(client: TestClient) -> None:
    answer = client.post("/v1/crop", json={}, headers={"origin": "http://page.example"})
    refused(answer, 400)
    assert answer.headers["access-control-allow-origin"] == "*"
