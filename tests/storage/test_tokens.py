"""The tokens of the database, in SQLite and PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.database import database_url
from storage.errors import DatabaseUnavailableError, NameTakenError
from storage.links import LinkSigner, LinkState
from storage.records import Records
from storage.revocable_links import RevocableLinks
from storage.tokens import PREFIX, LinkGeneration, TokenTable, digest_of, may_be_token, new_token
from tests.helpers.services import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/records.db"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database()
    records = Records(database_url(url))
    yield records
    records.close()


@pytest.fixture
def table(records: Records) -> TokenTable:
    return TokenTable(records.engine)


def test_a_token_is_found_by_its_digest_and_stored_nowhere(
    table: TokenTable, records: Records
) -> None:
    expires = datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
    sent, made = table.create("acme", "ci", ["edit", "read"], expires)
    found = table.find(digest_of(sent))
    assert found == made
    assert (found.organisation, found.name, sorted(found.scopes)) == (
        "acme",
        "ci",
        ["edit", "read"],
    )
    assert (found.expires, found.last_used, found.revoked) == (expires, None, None)
    with records.engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM tokens")).all()
    assert sent not in str(row)
    assert sent.removeprefix(PREFIX) not in str(row)


def test_an_unknown_digest_is_none(table: TokenTable) -> None:
    assert not table.has_any()
    table.create("acme", "ci", ["read"])
    assert table.has_any()
    assert table.find(digest_of(new_token())) is None
    assert table.find("") is None


def test_a_name_can_be_used_again_once_its_token_is_revoked(table: TokenTable) -> None:
    sent, _ = table.create("acme", "ci", ["read"])
    with pytest.raises(NameTakenError, match="acme has a token named ci already"):
        table.create("acme", "ci", ["edit"])
    table.create("other", "ci", ["read"])
    assert table.revoke(digest_of(sent))
    assert not table.revoke(digest_of(sent))
    table.create("acme", "ci", ["edit"])
    now = datetime.now(UTC)
    assert [token.state(now) for token in table.tokens("acme")] == ["revoked", "valid"]
    assert len(table.tokens()) == 3


def test_the_state_follows_from_the_times(table: TokenTable) -> None:
    _, token = table.create("acme", "ci", ["read"], datetime.now(UTC) + timedelta(hours=1))
    assert token.expires is not None
    assert token.state(token.expires - timedelta(seconds=1)) == "valid"
    assert token.state(token.expires) == "expired"


def test_the_last_use_is_written_once_a_minute(table: TokenTable) -> None:
    sent, _ = table.create("acme", "ci", ["read"])
    digest, now = digest_of(sent), datetime(2030, 1, 1, tzinfo=UTC)
    uses = []
    for seconds in (0, 1, 59, 60, 61):
        table.note_use(digest, now + timedelta(seconds=seconds))
        found = table.find(digest)
        assert found is not None
        assert found.last_used is not None
        uses.append((found.last_used - now).seconds)
    assert uses == [0, 0, 0, 60, 60]


def test_revoking_an_organisation_takes_its_tokens_and_its_links(table: TokenTable) -> None:
    first, _ = table.create("acme", "one", ["read"])
    table.create("acme", "two", ["read"])
    table.create("other", "one", ["read"])
    signer = RevocableLinks(LinkSigner(bytes(32)), table)

    def link(key: str) -> tuple[str, str, str]:
        expires, _, signature = signer.sign(key, 1000).partition("&")
        return key, expires.removeprefix("expires="), signature.removeprefix("signature=")

    def states(*links: tuple[str, str, str]) -> list[LinkState]:
        return [signer.verify(*link, now=1) for link in links]

    before, others = link("acme/a.png"), link("other/a.png")
    assert states(before, others) == [LinkState.OK, LinkState.OK]
    assert table.revoke_organisation("acme") == 2
    assert table.closed_organisations() == ["acme"]
    meanwhile = link("acme/a.png")
    assert states(before, meanwhile, others) == [LinkState.REVOKED, LinkState.REVOKED, LinkState.OK]
    table.create("acme", "three", ["read"])
    assert table.closed_organisations() == []
    after = link("acme/a.png")
    assert states(before, meanwhile, after) == [
        LinkState.REVOKED,
        LinkState.REVOKED,
        LinkState.OK,
    ]
    assert signer.verify(*after, now=1000) is LinkState.EXPIRED
    found = table.find(digest_of(first))
    assert found is not None
    assert found.revoked is not None


def test_the_links_of_an_organisation_of_the_settings_begin_anew_at_once(
    table: TokenTable,
) -> None:
    signer = RevocableLinks(LinkSigner(bytes(32)), table, ["acme"])
    table.revoke_organisation("acme")
    assert table.link_generation("acme") == LinkGeneration(1, is_closed=True)
    signature = signer.sign("acme/a.png", 9).partition("signature=")[2]
    assert signer.verify("acme/a.png", "9", signature, 1) is LinkState.OK


def test_without_the_database_the_last_known_generation_counts(
    table: TokenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> LinkGeneration:
        raise DatabaseUnavailableError("away")

    signer = RevocableLinks(LinkSigner(bytes(32)), table)
    old = signer.sign("gone/a.png", 9).partition("signature=")[2]
    table.revoke_organisation("gone")
    table.create("gone", "one", ["read"])
    signer.verify("gone/a.png", "9", old, 1)
    signature = signer.sign("acme/a.png", 9).partition("signature=")[2]
    monkeypatch.setattr(table, "link_generation", away)
    assert signer.verify("acme/a.png", "9", signature, 1) is LinkState.OK
    assert signer.verify("gone/a.png", "9", old, 1) is LinkState.REVOKED
    with pytest.raises(DatabaseUnavailableError):
        signer.sign("other/a.png", 9)


def test_a_generation_cannot_be_written_into_the_key_or_the_time() -> None:
    signer = LinkSigner(bytes(32))
    signature = signer.sign("a/b.png", 9, 1).partition("signature=")[2]
    for key, expires in (("a/b.png", "1;9"), ("9\na/b.png", "1"), ("a/b.png\n1", "9")):
        assert signer.verify(key, expires, signature, 1) is LinkState.FORGED
    assert signer.verify("a/b.png", "9", signature, 1) is LinkState.FORGED
    assert signer.verify("a/b.png", "9", signature, 1, 1) is LinkState.OK
    assert signer.verify("a/b.png", "9", signature, 1, 2) is LinkState.REVOKED


def test_tokens_have_a_form_that_tells_them_from_mistyped_ones() -> None:
    made = {new_token() for _ in range(200)}
    assert len(made) == 200
    for token in made:
        assert may_be_token(token)
        assert token.startswith("rt_")
        assert token.isascii()
        assert not may_be_token(token[:-1])
        assert not may_be_token(token + "x")
        assert not may_be_token(token.swapcase())
    for text_ in ("", "rt_", "secret", "rt_\udcff" + "0" * 6, "rt_" + "é" * 9):
        assert not may_be_token(text_)


def test_without_the_database_every_question_is_an_error(tmp_path: Path) -> None:
    records = Records(database_url(f"sqlite:///{tmp_path}/records.db"))
    table = TokenTable(records.engine)
    records.close()
    (tmp_path / "records.db").write_bytes(b"no database, but longer than its header" * 99)
    for ask in (
        table.has_any,
        table.tokens,
        lambda: table.find("0"),
        lambda: table.link_generation("a"),
    ):
        with pytest.raises(DatabaseUnavailableError):
            ask()
