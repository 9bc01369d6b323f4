"""Signed links: valid until they expire, forged if anything in them is changed."""

import stat
import threading
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from storage.links import LinkSigner, LinkState, load_or_create_secret

SECRET = bytes(range(32))
KEY = "acme/0b5a.png"


def parts(query: str) -> tuple[str, str]:
    fields = parse_qs(query, strict_parsing=True)
    return fields["expires"][0], fields["signature"][0]


def test_a_signed_link_is_valid_until_it_expires() -> None:
    signer = LinkSigner(SECRET)
    expires, signature = parts(signer.sign(KEY, 1000))
    assert signer.verify(KEY, expires, signature, 999.9) is LinkState.OK
    assert signer.verify(KEY, expires, signature, 1000) is LinkState.EXPIRED


def test_the_query_needs_no_escaping() -> None:
    for expires in range(200):
        query = LinkSigner(SECRET).sign(KEY, expires)
        assert all(letter.isalnum() or letter in "=&-_" for letter in query)


def test_a_changed_link_is_forged_even_if_expired() -> None:
    signer = LinkSigner(SECRET)
    expires, signature = parts(signer.sign(KEY, 1000))
    swapped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for key, until, mark in (
        ("acme/0b5b.png", expires, signature),
        (KEY, "1001", signature),
        (KEY, "01000", signature),
        (KEY, expires, swapped),
        (KEY, expires, signature[:-1]),
        (KEY, expires, signature + "="),
        (KEY, expires, ""),
    ):
        for now in (0, 5000):
            assert signer.verify(key, until, mark, now) is LinkState.FORGED


def test_another_secret_makes_another_signature() -> None:
    expires, signature = parts(LinkSigner(bytes(32)).sign(KEY, 1000))
    assert LinkSigner(SECRET).verify(KEY, expires, signature, 0) is LinkState.FORGED


@pytest.mark.parametrize(
    ("key", "expires", "signature"),
    [
        ("", "", ""),
        (KEY, "soon", "x"),
        (KEY, "-1", "x"),
        (KEY, "1e9", "x"),
        (KEY, " 1000", "x"),
        (KEY, "١٠٠٠", "x"),
        (KEY, "²", "x"),
        (KEY, "9" * 5000, "x"),
        (KEY, "1000", "é"),
        (KEY, "1000", "x" * 1_000_000),
        ("\ud800", "1000", "\udfff"),
        ("\ud800", "1000", "x"),
        ("k" * 1_000_000, "1000", "x"),
    ],
)
def test_invalid_input_counts_as_forged_and_never_raises(
    key: str, expires: str, signature: str
) -> None:
    assert LinkSigner(SECRET).verify(key, expires, signature, 0) is LinkState.FORGED


def test_a_weak_secret_and_an_invalid_time_are_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        LinkSigner(b"short")
    for expires in (-1, 10**12):
        with pytest.raises(ValueError, match="range"):
            LinkSigner(SECRET).sign(KEY, expires)


def test_the_secret_is_created_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    secret = load_or_create_secret(path)
    assert len(secret) == 32
    assert load_or_create_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
    assert load_or_create_secret(tmp_path / "other") != secret


def test_processes_that_start_together_use_the_same_secret(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / str(attempt)
        together = threading.Barrier(8)
        found: list[bytes] = []

        def start(
            path: Path = path,
            together: threading.Barrier = together,
            found: list[bytes] = found,
        ) -> None:
            together.wait()
            found.append(load_or_create_secret(path))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1


def test_a_damaged_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"cut")
    with pytest.raises(ValueError, match="3 bytes"):
        load_or_create_secret(tmp_path / "secret")
