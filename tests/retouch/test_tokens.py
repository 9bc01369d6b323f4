"""The command `retouch tokens`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner, Result

from retouch.command import app
from server.app import create_app
from server.settings import Settings
from storage.errors import StoreUnavailableError
from storage.records import Records
from storage.tokens import LinkGeneration, TokenTable, digest_of, may_be_token
from tests.helpers.fake_models import FakeModels
from tests.helpers.places import ROOT
from tests.helpers.requests import b64, photo

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `retouch tokens` on the folder of the test."""
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path / "new" / "data"))

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["tokens", *words])

    return run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a server on the same folder, without tokens."""
    return Settings(data_dir=tmp_path / "new" / "data", workers=1)


def generation(settings: Settings, organisation: str) -> LinkGeneration:
    """Return which links of an organisation the database says are valid."""
    with closing(Records(settings.records_url)) as records:
        return TokenTable(records.engine).link_generation(organisation)


def create(run: Run, *words: str) -> str:
    """Create a token of acme; return it."""
    result = run("create", "--organisation", "acme", *words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_token_is_printed_once_and_alone(run: Run, tmp_path: Path) -> None:
    sent = create(run, "--name", "ci")
    assert may_be_token(sent)
    listed = run("list")
    assert sent not in listed.output
    assert "acme" in listed.stdout
    for file in (tmp_path / "new" / "data").iterdir():
        assert sent.encode() not in file.read_bytes()


def test_the_list_tells_everything_but_the_token(run: Run) -> None:
    sent = create(run, "--name", "ci", "--expires", "90d", "--scope", "read")
    (row,) = json.loads(run("list", "--json").stdout)
    expires = datetime.fromisoformat(row.pop("expires"))
    assert abs(expires - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    assert row.pop("created").endswith("Z")
    assert row == {
        "id": digest_of(sent)[:12],
        "organisation": "acme",
        "name": "ci",
        "scopes": ["read"],
        "state": "valid",
        "last_used": None,
    }
    assert run("list", "--organisation", "other", "--json").stdout.strip() == "[]"
    table = run("list").stdout.splitlines()
    assert len(table) == 2
    assert re.split(r"\s{2,}", table[1])[:5] == [row["id"], "acme", "ci", "read", "valid"]


def test_a_token_is_revoked_by_its_id(run: Run) -> None:
    token_id = digest_of(create(run, "--name", "ci"))[:12]
    assert run("revoke", token_id).exit_code == 0
    again = run("revoke", token_id)
    assert (again.exit_code, again.stderr) == (1, f"Token {token_id} was revoked already.\n")
    (row,) = json.loads(run("list", "--json").stdout)
    assert row["state"] == "revoked"
    unknown = run("revoke", "0" * 12)
    assert (unknown.exit_code, unknown.stderr) == (1, "There is no token 000000000000.\n")


@pytest.mark.parametrize(
    "words",
    [
        ["create"],
        ["create", "--organisation", "a", "--name", ""],
        ["create", "--organisation", "a", "--name", "x\ny"],
        ["create", "--organisation", "a/b", "--name", "x"],
        ["create", "--organisation", "a\n", "--name", "x"],
        ["create", "--organisation", "a", "--name", "x", "--scope", "all"],
        ["create", "--organisation", "a", "--name", "x", "--expires", "90"],
        ["create", "--organisation", "a", "--name", "x", "--expires", "0d"],
        ["create", "--organisation", "a", "--name", "x", "--expires", "2020-01-01"],
        ["revoke"],
        ["revoke", "0" * 12, "--organisation", "a"],
        ["nonsense"],
    ],
)
def test_wrong_words_are_refused_with_status_2(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output
    assert json.loads(run("list", "--json").stdout) == []


def test_a_name_that_is_taken_is_refused_with_status_1(run: Run) -> None:
    create(run, "--name", "ci")
    result = run("create", "--organisation", "acme", "--name", "ci")
    assert result.exit_code == 1
    assert result.stderr == "acme has a token named ci already; revoke that first.\n"
    assert result.stdout == ""


def test_what_is_created_tells_where_it_works(run: Run, tmp_path: Path) -> None:
    result = run("create", "--organisation", "acme", "--name", "ci")
    assert f"RETOUCH_DATA_DIR {tmp_path / 'new' / 'data'}." in result.stderr


def test_a_misspelled_organisation_is_told_and_writes_nothing(run: Run, settings: Settings) -> None:
    create(run, "--name", "ci")
    wrong = run("revoke", "--organisation", "acne")
    assert wrong.exit_code == 1
    assert wrong.output == "acne has no token and no result: see whether the name is right.\n"
    assert generation(settings, "acne") == LinkGeneration()
    assert run("revoke", "--organisation", "acme").exit_code == 0
    assert generation(settings, "acme") == LinkGeneration(1, is_closed=True)


def test_tokens_are_revoked_also_while_the_store_is_away(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailableError("no connection")

    create(run, "--name", "ci")
    monkeypatch.setattr("retouch.tokens.open_stores", away)
    assert run("revoke", "--organisation", "acme").exit_code == 1
    assert '"state": "revoked"' in run("list", "--json").stdout
    assert generation(settings, "acme") == LinkGeneration(1, is_closed=True)


@pytest.mark.parametrize("path", ["/v1/register", "/v1/crop"])
def test_an_organisation_without_tokens_is_known_by_what_it_stores(
    run: Run, settings: Settings, path: str
) -> None:
    had_token = settings.model_copy(update={"api_tokens": ["old:secret-old"]})
    with TestClient(create_app(had_token, FakeModels())) as client:
        answer = client.post(path, json={"file": b64(photo())}, headers={"api_token": "secret-old"})
        assert answer.status_code == 200
    assert run("revoke", "--organisation", "old").exit_code == 0
    assert generation(settings, "old") == LinkGeneration(1, is_closed=True)


def test_an_organisation_of_an_open_server_is_known_by_its_results(
    run: Run, settings: Settings
) -> None:
    with TestClient(create_app(settings, FakeModels())) as client:
        body = {"file": b64(photo())}
        link = client.post("/v1/crop", json=body, headers={"api_token": "any"}).json()["result_url"]
    organisation = urlsplit(link).path.split("/")[2]
    revoked = run("revoke", "--organisation", organisation)
    assert revoked.exit_code == 0
    assert f"1 result of {organisation} removed." in revoked.stdout
    assert generation(settings, organisation) == LinkGeneration(1, is_closed=True)
    assert run("revoke", "--organisation", organisation).exit_code == 0


def test_a_wrong_time_names_its_option(run: Run) -> None:
    result = run("create", "--organisation", "a", "--name", "x", "--expires", "2020-01-01")
    assert "Invalid value for '--expires': this time is over" in result.stderr


def test_a_database_that_is_away_is_one_line_with_status_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_DATABASE_URL", "postgresql://me:hidden@127.0.0.1:9/x")
    result = run("list")
    assert result.exit_code == 1
    assert result.stderr.startswith("RETOUCH_DATABASE_URL: ")
    assert "hidden" not in result.output
    monkeypatch.setenv("RETOUCH_DATABASE_URL", "mysql://me:hidden@127.0.0.1:9/x")
    assert run("list").exit_code == 2


def test_it_works_while_a_server_runs_on_the_same_files(run: Run, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data", api_tokens="b:secret-b", workers=1)
    with TestClient(create_app(settings, FakeModels()), raise_server_exceptions=False) as client:

        def code(token: str) -> int:
            return client.post("/v1/crop", json={}, headers={"api_token": token}).status_code

        sent = create(run, "--name", "ci")
        assert code(sent) == 400
        assert run("revoke", digest_of(sent)[:12]).exit_code == 0
        assert code(sent) == 401
        assert code("secret-b") == 400


def test_revoking_an_organisation_kills_its_links_and_removes_its_results(
    run: Run, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data", api_tokens="b:secret-b", workers=1)
    with TestClient(create_app(settings, FakeModels()), raise_server_exceptions=False) as client:
        sent = create(run, "--name", "ci")
        body = {"file": b64(photo())}
        links = {
            token: client.post("/v1/crop", json=body, headers={"api_token": token}).json()[
                "result_url"
            ]
            for token in (sent, "secret-b")
        }
        assert client.get(links[sent]).status_code == 200
        revoked = run("revoke", "--organisation", "acme")
        assert revoked.exit_code == 0
        assert "1 token of acme revoked" in revoked.stdout
        assert "1 result of acme removed" in revoked.stdout
        answer = client.get(links[sent])
        assert (answer.status_code, answer.json()["description"]) == (403, "This link was revoked.")
        assert client.get(links["secret-b"]).status_code == 200
        other = {"image_url": links[sent]}
        answer = client.post("/v1/crop", json=other, headers={"api_token": "secret-b"})
        assert answer.status_code == 460
        assert "This result link was revoked" in answer.json()["description"]
        new = {"api_token": create(run, "--name", "ci")}
        link = client.post("/v1/crop", json=body, headers=new).json()["result_url"]
        assert client.get(link).status_code == 200
        assert client.get(links[sent]).status_code == 403


@pytest.mark.slow
@pytest.mark.program
def test_it_is_a_program_too(tmp_path: Path) -> None:
    environment = {**os.environ, "RETOUCH_DATA_DIR": str(tmp_path / "data")}
    words = [sys.executable, "-m", "retouch", "tokens"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *more], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )

    made = run("create", "--organisation", "acme", "--name", "ci")
    assert (made.returncode, may_be_token(made.stdout.strip())) == (0, True), made.stderr
    again = run("create", "--organisation", "acme", "--name", "ci")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "acme has a token named ci already; revoke that first.\n"


def test_an_organisation_of_the_settings_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETOUCH_API_TOKENS", "acme:secret")
    result = run("revoke", "--organisation", "acme")
    assert result.exit_code == 0
    assert "RETOUCH_API_TOKENS has a token of acme" in result.stderr
    assert "secret" not in result.output
    with closing(Records(Settings().records_url)) as records:
        assert TokenTable(records.engine).closed_organisations() == ["acme"]
