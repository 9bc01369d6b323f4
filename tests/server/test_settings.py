"""The settings and the values that they refuse."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from server.__main__ import main
from server.app import create_app
from server.public_host import public_host_problem
from server.settings import Settings
from storage.bucket import Bucket
from tests.helpers.fake_models import FakeModels


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gpu-box"])
def test_a_public_host_needs_tokens(host: str, tmp_path: Path) -> None:
    problem = public_host_problem(Settings(host=host, data_dir=tmp_path))
    assert problem is not None
    assert problem.startswith("RETOUCH_HOST: ")
    assert "RETOUCH_API_TOKENS must be set" in problem
    assert public_host_problem(Settings(host=host, api_tokens="team:secret")) is None


def test_a_public_host_of_the_second_port_needs_tokens_too(tmp_path: Path) -> None:
    public = {"operator_host": "0.0.0.0", "operator_port": 9000, "data_dir": tmp_path}
    problem = public_host_problem(Settings(**public))
    assert str(problem).startswith("RETOUCH_OPERATOR_HOST: 0.0.0.0 can be reached")
    assert public_host_problem(Settings(**public, api_tokens="team:secret")) is None
    # Without the port nothing listens there.
    assert public_host_problem(Settings(operator_host="0.0.0.0", data_dir=tmp_path)) is None


def test_the_second_port_is_another_one() -> None:
    with pytest.raises(ValidationError, match="OPERATOR_PORT 8000 must not be the same as PORT"):
        Settings(operator_port=8000)
    assert Settings(port=0, operator_port=0).operators == ("127.0.0.1", 0)
    assert Settings().operators is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_tokens(host: str, tmp_path: Path) -> None:
    assert public_host_problem(Settings(host=host, data_dir=tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tokens", ["secret", ":secret", "team:", "te/am:secret", "a:x,b:x"])
def test_ambiguous_tokens_are_refused(tokens: str) -> None:
    with pytest.raises(ValidationError):
        Settings(api_tokens=tokens)


def test_whitespace_around_organisations_and_tokens_is_stripped() -> None:
    settings = Settings(api_tokens=" a : x ,\tb:\ty y\r\n,, c:z")
    assert settings.api_tokens == ("a:x", "b:y y", "c:z")
    assert Settings(api_tokens=" , ,").api_tokens == ()
    with pytest.raises(ValidationError, match="two organisations have the same token"):
        Settings(api_tokens="a:x,b: x")
    with pytest.raises(ValidationError, match="organisation:token"):
        Settings(api_tokens="a:  ")


@pytest.mark.parametrize(
    "token", ["a\nb", "a\tb", "a\x00b", "a\x7fb", "a\x85b", "\u20ac", "\u0142", "x" * 1025]
)
def test_a_token_that_no_header_can_carry_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(ValidationError, match="team cannot be sent in an HTTP header") as error:
        Settings(api_tokens=f"other:hidden,team:{token}")
    assert token not in str(error.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    "token", ["\xe9t\xe9", "a b", "x" * 1024, "!\"#$%&'()*+-./:;<=>?@[]^_`{|}~"]
)
def test_a_token_that_a_header_can_carry_is_taken(token: str, tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, api_tokens=f"team:{token}"), FakeModels())
    with TestClient(app) as client:
        header = {"api_token": token.encode("latin-1")}
        assert client.post("/v1/crop", json={}, headers=header).status_code == 400


@pytest.mark.parametrize("field", ["public_url", "s3_endpoint", "s3_public_endpoint"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("HTTPS://Host", "https://host"),
        ("Http://Edit.Example.COM:8443/Base/", "http://edit.example.com:8443/Base"),
        ("https://Me:Pass@Host/", "https://Me:Pass@host"),
    ],
)
def test_scheme_and_host_of_an_address_may_have_any_case(
    field: str, given: str, expected: str
) -> None:
    assert getattr(Settings.model_validate({field: given}), field) == expected


def test_the_environment_is_read_by_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETOUCH_API_TOKENS", "a:x, b:y:z")
    monkeypatch.setenv("RETOUCH_ALLOWED_URL_NETWORKS", "10.0.0.0/8,fd00::/8")
    monkeypatch.setenv("RETOUCH_DATA_DIR", "/somewhere")
    settings = Settings()
    assert settings.api_tokens == ("a:x", "b:y:z")
    assert [str(network) for network in settings.allowed_url_networks] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.data_dir == Path("/somewhere")


@pytest.mark.parametrize("url", ["edit.example.com", "ftp://x", "https://x/?a=b", "https://"])
def test_an_invalid_public_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(public_url=url)


@pytest.mark.parametrize("url", ["mysql://u:hidden@db/x", "postgresql://u@db:hidden/x", "hidden"])
def test_an_invalid_database_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError, match="database") as error:
        Settings(database_url=url)
    assert "hidden" not in f"{error.value} {error.value!r}"


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://",
        "http://user:hidden@",
        "http://user:hidden@proxy.example/path",
        "http://user:hidden@proxy.example?x",
        "http://user:hid/den@proxy.example",
        "http://user:hidden@proxy.example:port",
        "http://user:hidden@proxy.example:99999",
        "http://user:hidden@[::1",
        "http://user:hidden@proxy example",
    ],
)
def test_an_invalid_proxy_is_refused_without_repeating_it(proxy: str) -> None:
    with pytest.raises(ValidationError, match="a proxy must be") as error:
        Settings(fetch_proxy=proxy)
    assert "hidden" not in f"{error.value} {error.value!r}"


def test_the_password_of_a_proxy_is_not_shown() -> None:
    settings = Settings(fetch_proxy="http://user:hidden@proxy.example:3128/")
    assert "hidden" not in f"{settings} {settings!r}"


@pytest.mark.parametrize("agent", ["é", "a\r\nHost: x", "a\tb", "x" * 300, "a\n"])
def test_a_user_agent_is_one_line_of_ascii(agent: str) -> None:
    with pytest.raises(ValidationError):
        Settings(fetch_user_agent=agent)


def test_ray_without_an_address_takes_every_gpu() -> None:
    with pytest.raises(ValidationError, match="uses every GPU, and DEVICE cuda:1 names one"):
        Settings(engine="ray", device="cuda:1")
    assert Settings(engine="ray", device="cuda:1", ray_address="auto").ray_address == "auto"
    for device in ("auto", "cpu", "cuda"):
        assert Settings(engine="ray", device=device).ray_address is None
    assert Settings(device="cuda:1").device == "cuda:1"


def test_settings_are_documented_in_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    documented = re.findall(r"^\| `RETOUCH_(\w+)` \|", page, re.MULTILINE)
    assert documented == [name.upper() for name in Settings.model_fields]


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
@pytest.mark.parametrize("blank", ["", " \t", "\r\n"])
def test_a_blank_setting_counts_as_unset(
    name: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"RETOUCH_{name}", raising=False)
    unset = Settings()
    monkeypatch.setenv(f"RETOUCH_{name}", blank)
    assert Settings() == unset


def test_whitespace_around_a_setting_is_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETOUCH_PORT", " 8123\r")
    monkeypatch.setenv("RETOUCH_API_TOKENS", "a:x,b:y\r\n")
    monkeypatch.setenv("RETOUCH_DATABASE_URL", " postgresql://me:hunter2@db/retouch\r")
    monkeypatch.setenv("RETOUCH_RESULT_FORMAT", "png\t")
    settings = Settings()
    assert (settings.port, settings.result_format) == (8123, "png")
    assert settings.api_tokens == ("a:x", "b:y")
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://me:hunter2@db/retouch"


def test_the_port_variable_of_a_kubernetes_service_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETOUCH_PORT", "tcp://10.0.0.1:80")
    assert Settings().port == 8000


def test_results_are_in_the_data_folder_unless_a_store_is_set(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).store_address == tmp_path
    assert Settings(store=str(tmp_path / "shared")).store_address == tmp_path / "shared"
    assert Settings(store="s3://pictures/team").store_address == Bucket(
        "pictures", "team", path_style=False
    )
    own = Settings(
        store="s3://pictures",
        s3_endpoint="http://store:8333/",
        s3_public_endpoint="https://pictures.example",
        s3_region="eu",
        s3_lifecycle=True,
    )
    assert own.store_address == Bucket(
        "pictures", "", "http://store:8333", "https://pictures.example", "eu", True, True
    )
    assert Settings(store="s3://b-1", s3_endpoint="http://s", s3_style="host").store_address == (
        Bucket("b-1", endpoint="http://s", path_style=False)
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", "s3://"),
        ("store", "ftp://pictures"),
        ("s3_endpoint", "store:8333"),
        ("s3_style", "virtual"),
        ("database_url", "mysql://a/b"),
        ("database_url", "sqlite:///x.db"),
        ("engine", "celery"),
        ("drain_s", 20),
        ("grace_s", 0),
    ],
)
def test_invalid_settings_are_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({field: value})


def test_no_password_is_ever_shown() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://me:hunter2@db/retouch"})
    assert "hunter2" not in repr(settings) + str(settings)
    with pytest.raises(ValidationError) as refusal:
        Settings.model_validate({"database_url": "mysql://me:hunter2@db/retouch"})
    assert all("hunter2" not in fault["msg"] for fault in refusal.value.errors())


@pytest.mark.parametrize("url", ["https://x.example/", "x/{key}", "file:///{key}", "https://"])
def test_an_address_of_pictures_without_a_key_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"with \{key\} in it"):
        Settings(org_image_url=url)


def test_an_address_of_pictures_has_a_key_in_it() -> None:
    assert Settings(org_image_url="HTTPS://x.example/{key}?a=1").org_image_url
    assert Settings(org_image_url="").org_image_url is None


def test_settings_of_a_ray_of_the_servers_own_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETOUCH_ENGINE", "ray")
    monkeypatch.setenv("RETOUCH_GPU_MEMORY_MB", "plenty")
    assert main() == 2
    assert capsys.readouterr().err.startswith("settings: RETOUCH_GPU_MEMORY_MB must be")
