"""What a request tells the models: the roles that it needs, for as long as it runs."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from starlette.testclient import TestClient

from models.roles import MATTING, MODERATION, P, Role
from models.runtime.running_requests import Need, RunningRequests
from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo

TOKEN = {"api_token": "me"}


class Planning(FakeModels):
    """Fake models that note how soon roles are needed whenever matting is used."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = RunningRequests()
        self.seen: list[tuple[Need, Need]] = []

    def needing(self, roles: Iterable[Role[Any]]) -> AbstractContextManager[None]:
        return self.requests.needing(roles)

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        if role is MATTING:
            self.seen.append((self.requests.need(MATTING), self.requests.need(MODERATION)))
        with super().use(role) as model:
            yield model


def test_the_roles_of_a_request_are_needed_while_it_runs(settings: Settings) -> None:
    models = Planning()
    app = create_app(settings.model_copy(update={"api_tokens": []}), models)
    with TestClient(app, headers=TOKEN) as client:
        body = {"file": b64(photo()), "sync": True}
        assert client.post("/v1/background/remove", json=body).status_code == 200
        body["content_moderation"] = True
        assert client.post("/v1/background/remove", json=body).status_code == 200
    assert models.seen == [(Need.PENDING, Need.NONE), (Need.PENDING, Need.PENDING)]
    assert models.requests.need(MATTING) is Need.NONE
