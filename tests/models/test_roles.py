"""The roles: one row each, typed by their protocols, the same in every process."""

import inspect
import pickle
import re

import numpy as np
import pytest

from models import role_calls, roles
from models.roles import MATTING, ROLES, Role, role_named
from tests.helpers.fake_models import FakeModels


def test_names_and_methods_are_unique() -> None:
    assert len({role.name for role in ROLES}) == len(ROLES)
    assert len({role.method for role in ROLES}) == len(ROLES)


@pytest.mark.parametrize("role", ROLES, ids=str)
def test_a_role_is_found_by_name_even_after_pickling(role: Role[object]) -> None:
    assert role_named(role.name) is role
    assert pickle.loads(pickle.dumps(role)) is role


def test_every_call_that_a_row_names_exists_and_is_used() -> None:
    named = set(re.findall(r'_later\("(\w+)"\)', inspect.getsource(roles)))
    functions = inspect.getmembers(role_calls, inspect.isfunction)
    public = ((name, one) for name, one in functions if not name.startswith("_"))
    own = {name for name, one in public if one.__module__ == role_calls.__name__}
    assert len(named) > 10
    assert named == own


def test_an_unknown_role_is_an_error() -> None:
    with pytest.raises(KeyError, match="colouring"):
        role_named("colouring")


def test_a_method_of_another_role_is_a_type_error_and_a_runtime_error() -> None:
    grey = np.zeros((8, 8, 3), np.uint8)
    with FakeModels().use(MATTING) as matting:
        assert matting.matte(grey).shape == (8, 8)
        with pytest.raises(AttributeError):
            matting.segment(grey)  # type: ignore[attr-defined]
