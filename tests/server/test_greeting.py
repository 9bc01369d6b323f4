"""What the server says once it is ready."""

import re
from pathlib import Path

import pytest

from models.catalog.profile import load_profile
from models.roles import INPAINTING
from server import greeting as module
from server.greeting import better_profile, greeting
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.places import PHOTOS


class OnlyInpainting(FakeModels):
    def offers(self, role: object) -> bool:
        return role == INPAINTING


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
    assert command(text).endswith(f" http://{reachable}:8123/v1/background/remove")


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


def test_without_a_model_for_the_subject_the_command_registers_the_photo() -> None:
    text = greeting(Settings(), 8000, OnlyInpainting(), needs_token=False)
    assert command(text).endswith("/v1/register")
    assert str(PHOTOS / "astronaut.jpg") in text


def test_an_image_without_the_photos_names_only_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PHOTO", PHOTOS / "absent.jpg")
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
