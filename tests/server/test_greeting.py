"""What the server says once it is ready."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.catalog.profile import load_profile
from models.roles import INPAINTING
from server import greeting as module
from server.greeting import better_profile, greeting
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.places import PHOTOS


class Only(FakeModels):
    def __init__(self, *roles: object) -> None:
        super().__init__()
        self.roles = roles

    def offers(self, role: object) -> bool:
        return role in self.roles


def command(text: str) -> str:
    """Return the command in the text."""
    (line,) = (line for line in text.splitlines() if line.startswith("    curl "))
    return line.strip()


@pytest.mark.parametrize(
    ("host", "reachable"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("10.1.2.3", "10.1.2.3"),
        ("localhost", "localhost"),
    ],
)
def test_the_address_can_be_reached_on_this_machine(host: str, reachable: str) -> None:
    settings = Settings(host=host, api_tokens=("a:secret-a",))
    text = greeting(settings, 8123, FakeModels(), needs_token=True)
    assert text.startswith(f"ready on http://{reachable}:8123; to try it:")
    assert f" http://{reachable}:8123/v1/background/remove " in command(text)


def test_a_token_is_never_shown() -> None:
    settings = Settings(api_tokens=("a:secret-a",))
    text = greeting(settings, 8000, FakeModels(), needs_token=True)
    assert "secret-a" not in text
    assert "api_token: YOUR_TOKEN" in text


def test_the_token_of_the_command_is_valid() -> None:
    text = greeting(Settings(), 8000, FakeModels(), needs_token=False)
    assert "api_token: me" in text
    text = greeting(Settings(), 8000, FakeModels(), needs_token=True)  # in the database
    assert "api_token: YOUR_TOKEN" in text


@pytest.mark.parametrize(
    ("models", "route", "result"),
    [
        (FakeModels(), "background/remove", "cutout.png"),
        (Only(INPAINTING), "eraser", "erased.png"),
    ],
)
def test_the_command_ends_in_a_file(
    client: TestClient, models: FakeModels, route: str, result: str
) -> None:
    words = shlex.split(command(greeting(Settings(), 8000, models, needs_token=False)))
    assert words[-2:] == ["-o", result]
    options = list(pairwise(words))
    headers = dict(value.split(": ") for option, value in options if option == "-H")
    assert headers.pop("api_token") == "me"  # the server of this test has tokens
    fields = dict(value.split("=@") for option, value in options if option == "-F")
    files = {name: Path(path).read_bytes() for name, path in fields.items()}
    assert words[-3] == f"http://127.0.0.1:8000/v1/{route}"
    answer = client.post(f"/v1/{route}", headers=headers, files=files)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")


def test_without_a_model_for_either_only_the_address_is_told() -> None:
    text = greeting(Settings(), 8000, Only(), needs_token=False)
    assert text == "ready on http://127.0.0.1:8000"


def test_an_image_without_the_photos_names_only_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PHOTOS", PHOTOS / "absent")
    text = greeting(Settings(), 8000, FakeModels(), needs_token=False)
    assert text == "ready on http://127.0.0.1:8000"


def test_only_the_first_start_with_lite_names_the_better_profile(tmp_path: Path) -> None:
    first = better_profile(Settings(data_dir=tmp_path))
    assert first is not None
    assert first.startswith("RETOUCH_PROFILE=cpu makes better pictures")
    # The size of one file is not known before its download.
    assert any(card.has_unknown_size for card in load_profile("cpu").values())
    size = int(re.findall(r"downloads more than ([\d,]+) MiB", first)[0].replace(",", ""))
    assert 100 < size < 2000
    assert "\n" not in first
    assert better_profile(Settings(data_dir=tmp_path, profile="tiny")) is None
    cache = Settings(data_dir=tmp_path).weights_dir
    cache.mkdir(parents=True)
    for card in load_profile("lite").values():
        for part in card.parts:
            (cache / part.name).touch()
    assert better_profile(Settings(data_dir=tmp_path)) is None
