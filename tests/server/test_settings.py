"""Settings and what they refuse."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from server.settings import Settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gpu-box"])
def test_serving_others_needs_tokens(host: str) -> None:
    with pytest.raises(ValidationError, match="API_TOKENS must be set"):
        Settings(host=host)
    assert Settings(host=host, api_tokens="team:secret").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert Settings(host=host).api_tokens == ()


@pytest.mark.parametrize("tokens", ["secret", ":secret", "team:", "te/am:secret", "a:x,b:x"])
def test_tokens_that_cannot_be_told_apart_are_refused(tokens: str) -> None:
    with pytest.raises(ValidationError):
        Settings(api_tokens=tokens)


def test_the_environment_is_read_by_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETOUCH_API_TOKENS", "a:x, b:y:z")
    monkeypatch.setenv("RETOUCH_ALLOWED_URL_NETWORKS", "10.0.0.0/8,fd00::/8")
    monkeypatch.setenv("RETOUCH_DATA_DIR", "/somewhere")
    settings = Settings()
    assert settings.api_tokens == ("a:x", "b:y:z")
    assert [str(network) for network in settings.allowed_url_networks] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.data_dir == Path("/somewhere")


@pytest.mark.parametrize("url", ["edit.example.com", "ftp://x", "https://x/?a=b", "https://"])
def test_a_public_url_that_cannot_start_a_link_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(public_url=url)


def test_every_setting_is_documented() -> None:
    readme = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    for name in Settings.model_fields:
        assert f"`RETOUCH_{name.upper()}`" in readme, f"docs/settings.md does not tell of {name}"
