"""The environment of a Ray that a server starts for itself."""

import os

import pytest

from models.runtime.ray import environment


def test_the_ray_of_a_server_has_a_token_of_its_own_whatever_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "that of a cluster")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    tokens = set()
    for _ in range(2):
        environment.prepare_own()
        assert os.environ["RAY_AUTH_MODE"] == "token"
        tokens.add(os.environ["RAY_AUTH_TOKEN"])
    assert len(tokens) == 2
    assert {len(token) for token in tokens} == {64}
