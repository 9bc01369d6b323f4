"""Profiles: the built-in ones, and what a user's own file may change."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog.card import Profile
from models.catalog.profile import load_profile, profile_names
from models.catalog.registry import CARDS
from models.catalog.source import HubFolder, LocalFolder
from models.errors import UnknownProfileError
from models.roles import (
    CAPTIONING,
    GENERATIVE_FILL,
    INPAINTING,
    MATTING,
    SCENE_GENERATION,
    SUPER_RESOLUTION,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def own(folder: Path, text: str) -> Profile:
    (folder / "mine.toml").write_text(text)
    return load_profile(str(folder / "mine.toml"))


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_has_cards_that_fit_their_roles(name: str) -> None:
    profile = load_profile(name)
    assert profile
    assert all(card.role == role for role, card in profile.items())


def test_lite_has_the_roles_of_its_routes_and_needs_no_torch() -> None:
    lite = load_profile("lite")
    assert set(lite) >= {MATTING, INPAINTING, SUPER_RESOLUTION}
    assert not any(card.torch or card.folders for card in lite.values())


def test_tiny_has_every_role_of_open_and_fetches_no_torch_model() -> None:
    tiny, open_ = load_profile("tiny"), load_profile("open")
    assert set(tiny) == set(open_) == set(load_profile("bria")) == set(load_profile("studio"))
    assert not any(isinstance(part, HubFolder) for card in tiny.values() for part in card.parts)


def test_an_unknown_profile_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownProfileError, match=r"no profile '\.\./lite'; there are: .*lite"):
        load_profile("../lite")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('matting = "nonesuch"', r"matting names no card of that role: 'nonesuch'.*u2netp"),
        ('matting = "patchmatch"', "matting names no card of that role"),
        ("matting = 3", "matting names no card of that role"),
        ('painting = "u2netp"', "no such role: painting"),
        ("", "chooses no card"),
        ("matting = ", "mine.toml"),
        ('base = "nonesuch"', "no profile 'nonesuch'"),
        ('base = "open"\n[cards.nonesuch]\npath = "/x"', "no such card: nonesuch"),
        ('base = "open"\n[repos."a/b"]\npath = "/x"', "no card uses the repository a/b"),
        ('base = "open"\n[cards.birefnet]\nfolder = "/x"', r"\[cards.birefnet\] takes only path"),
        ('base = "open"\n[cards.birefnet]\nrevision = 3', "must be strings"),
        ('base = "lite"\n[cards.u2netp]\nrevision = "x"', "cannot have such a row"),
        ('base = "lite"\n[cards.patchmatch]\npath = "/x"', "cannot have such a row"),
        ('base = "tiny"\n[cards.tiny-lama]\nrevision = "x"', "does not come from a hub"),
        ('base = "lite"\ncards = 3', "cards is not a table"),
    ],
)
def test_a_profile_with_a_wrong_row_is_refused_and_named(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(UnknownProfileError, match=reason) as caught:
        own(tmp_path, text)
    assert "profile" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownProfileError, match=r"absent\.toml"):
        load_profile(str(tmp_path / "absent.toml"))


def test_a_users_file_can_start_from_a_profile_and_change_rows(tmp_path: Path) -> None:
    mine = own(tmp_path, 'base = "open"\nmatting = "birefnet-onnx"\ncaptioning = false')
    base = load_profile("open")
    assert mine[MATTING].name == "birefnet-onnx"
    assert CAPTIONING not in mine
    assert {role: card for role, card in mine.items() if role != MATTING} == {
        role: card for role, card in base.items() if role not in (MATTING, CAPTIONING)
    }


def test_a_users_file_needs_no_base(tmp_path: Path) -> None:
    assert set(own(tmp_path, 'matting = "u2netp"')) == {MATTING}


def test_the_path_of_a_card_may_be_relative_to_the_file(tmp_path: Path) -> None:
    mine = own(tmp_path, 'base = "sdxl"\n[cards.sdxl-fill-fast]\npath = "weights/mine"')
    first, lora = mine[GENERATIVE_FILL].folders  # and not the VAE: the user's pipeline has its own
    assert first == LocalFolder(tmp_path / "weights" / "mine")
    assert lora == load_profile("sdxl")[GENERATIVE_FILL].folders[1]
    assert mine[SCENE_GENERATION] == load_profile("sdxl")[SCENE_GENERATION]


@pytest.mark.parametrize(
    "row",
    ['[cards.{card}]\npath = "mine"', '[repos."{repo}"]\npath = "mine"'],
)
def test_a_pipeline_of_the_users_own_is_used_with_its_own_vae(tmp_path: Path, row: str) -> None:
    cards = [card for card in CARDS if card.name.startswith("sdxl-")]
    assert len(cards) == 8
    for published in cards:
        assert dict(published.options)["vae"]
        (base, *adapters, vae) = published.folders
        assert isinstance(base, HubFolder)
        rows = row.format(card=published.name, repo=base.repo)
        card = own(tmp_path, f'{published.role} = "{published.name}"\n{rows}')[published.role]
        assert card.folders == (LocalFolder(tmp_path / "mine"), *adapters)
        assert "vae" not in dict(card.options)
        pinned = own(
            tmp_path,
            f'{published.role} = "{published.name}"\n[cards.{published.name}]\nrevision = "{COMMIT}"',
        )[published.role]
        assert pinned.folders == (replace(base, revision=COMMIT), *adapters, vae)


def test_the_path_of_a_card_of_one_file_may_be_the_file_or_its_folder(tmp_path: Path) -> None:
    text = 'base = "sdxl"\n[cards.big-lama]\npath = "{}"'
    card = own(tmp_path, text.format("/x/any.pt"))[INPAINTING]
    assert card.parts == (LocalFolder(Path("/x/any.pt")),)
    (tmp_path / "lama").mkdir()
    card = own(tmp_path, text.format("lama"))[INPAINTING]
    assert card.parts == (LocalFolder(tmp_path / "lama" / "big-lama.pt"),)


def test_the_path_of_a_card_of_two_files_may_be_their_folder(tmp_path: Path) -> None:
    card = own(tmp_path, 'base = "lite"\n[cards.realesr-animevideov3]\npath = "x"')[
        SUPER_RESOLUTION
    ]
    names = [part.name for part in load_profile("lite")[SUPER_RESOLUTION].parts]
    assert [part.name for part in card.parts] == [str(tmp_path / "x" / name) for name in names]


def test_a_revision_pins_a_card_and_every_use_of_a_repository(tmp_path: Path) -> None:
    mine = own(
        tmp_path,
        f'''base = "bria"
[cards.rmbg-2]
revision = "{COMMIT}"
[repos."briaai/erase"]
revision = "{COMMIT}"''',
    )
    assert mine[MATTING].folders[0].revision == COMMIT  # type: ignore[union-attr]
    for role in (INPAINTING, GENERATIVE_FILL, SCENE_GENERATION):
        first = mine[role].folders[0]
        assert isinstance(first, HubFolder)
        assert (first.repo, first.revision) == ("briaai/erase", COMMIT)


def test_a_repository_may_be_pinned_to_the_commit_that_it_has_already(tmp_path: Path) -> None:
    before = load_profile("bria")
    first = before[MATTING].folders[0]
    assert isinstance(first, HubFolder)
    row = f'base = "bria"\n[repos."{first.repo}"]\nrevision = "{first.revision}"'
    assert own(tmp_path, row) == before
