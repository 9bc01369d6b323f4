"""The registry: cards, profiles, and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models.registry import (
    CARDS,
    ROLES,
    UnknownProfile,
    by_name,
    load_profile,
    profile_names,
)


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_names_cards_that_play_their_roles(name: str) -> None:
    profile = load_profile(name)
    assert profile
    assert all(card.role == role for role, card in profile.items())


def test_lite_fills_what_its_routes_need() -> None:
    assert set(load_profile("lite")) >= {"matting", "inpainting", "super_resolution"}


def test_every_role_has_a_card() -> None:
    assert {card.role for card in CARDS} == set(ROLES)


def test_every_card_states_licence_memory_and_checked_files() -> None:
    for card in by_name(CARDS).values():
        assert card.licence
        assert card.memory_mb > 0
        for file in card.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size > 0
            assert len(file.sources) >= 2, f"{file.name} has no second source"
            assert Path(file.name).name == file.name


def test_a_card_name_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two cards are named u2netp"):
        by_name([*CARDS, replace(CARDS[0], role="inpainting")])


def test_a_file_name_used_for_two_files_is_refused() -> None:
    other = replace(CARDS[0].files[0], sha256="00" * 32)
    with pytest.raises(ValueError, match=r"two different weight files are named u2netp\.onnx"):
        by_name([*CARDS, replace(CARDS[0], name="other", files=(other,))])


def test_an_unknown_profile_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(UnknownProfile, match=r"no profile '\.\./lite'; there are: .*lite"):
        load_profile("../lite")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('matting = "nonesuch"', "matting names no card of that role"),
        ('matting = "patchmatch"', "matting names no card of that role"),
        ('painting = "u2netp"', "no such role: painting"),
    ],
)
def test_a_profile_with_a_wrong_row_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UnknownProfile, match=reason):
        load_profile("mine", tmp_path)


def test_reading_the_registry_imports_no_backend() -> None:
    code = "import sys, models.registry; print({'onnxruntime', 'ncnn'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
