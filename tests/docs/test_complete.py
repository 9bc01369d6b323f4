"""The documentation has every command, every card of a model and every profile.

Settings: tests/server/test_settings.py. Routes and fields: test_operation_pages.py. Errors: test_errors_page.py.
"""

import re

import pytest

from models.catalog.profile import profile_names
from models.catalog.registry import CARDS
from retouch.lazy import COMMANDS
from scripts.cards_table import renewed
from tests.helpers.places import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_on_its_page(command: str) -> None:
    assert re.search(rf"^\| `retouch {command}` \| \w", page("command.md"), re.MULTILINE)


def test_every_card_is_on_the_page_of_models() -> None:
    text = page("models.md")
    assert renewed(text) == text, "python -m scripts.cards_table"
    assert [card.name for card in CARDS if f"\n| `{card.name}` | " not in text] == []


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_is_on_the_page_of_models(profile: str) -> None:
    assert f"`{profile}`" in page("models.md")
