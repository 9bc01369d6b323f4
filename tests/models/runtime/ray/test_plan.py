"""The replicas of each role: from the profile's rows, then its base's rows, then the needs of its card."""

from pathlib import Path
from typing import Any

import pytest

from models.catalog.profile import load_profile
from models.errors import UnknownProfileError
from models.roles import (
    FACE_EDITING,
    GENERATIVE_FILL,
    INPAINTING,
    MATTING,
    OUTPAINTING,
    Role,
)
from models.runtime.held_memory import held_mb
from models.runtime.ray.plan import (
    Replicas,
    group_name,
    groups,
    on_cluster,
    on_machine,
    plan,
    share_of_gpu,
)

OWN = """
matting = "birefnet"
generative_fill = "sdxl-fill"
outpainting = "sdxl-outpaint"
face_editing = "sdxl-faces"
"""
"""A profile of one card alone and three that share all their weights."""


def of(path: Path, text: str, gpu_mb: int | None = None) -> dict[Role[Any], Replicas]:
    file = path / "own.toml"
    file.write_text(text)
    return dict(plan(str(file), load_profile(str(file)), gpu_mb))


@pytest.mark.parametrize("name", ["lite", "cpu", "sdxl", "open", "studio", "bria", "tiny"])
def test_every_role_of_every_profile_has_replicas(name: str) -> None:
    profile = load_profile(name)
    made = plan(name, profile, 24 * 1024)
    assert made.keys() == profile.keys()
    for role, replicas in made.items():
        assert (replicas.gpus > 0) is profile[role].torch
        assert replicas.gpus <= 1


def test_without_gpus_torch_models_run_on_processors() -> None:
    assert all(r.gpus == 0 for r in plan("open", load_profile("open"), None).values())


def test_a_card_gets_enough_twentieths_of_a_gpu_for_its_memory() -> None:
    card = load_profile("open")[MATTING]
    assert share_of_gpu([card], card.memory_mb) == 1.0
    assert share_of_gpu([card], card.memory_mb // 2) == 1.0
    assert share_of_gpu([card], 2 * card.memory_mb) == 0.5
    assert share_of_gpu([card], 3 * card.memory_mb) == 0.35


def test_roles_that_share_weights_are_one_group(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    profile = load_profile(str(file))
    assert groups(profile) == [(MATTING,), (GENERATIVE_FILL, OUTPAINTING, FACE_EDITING)]
    assert [*map(group_name, groups(profile))] == [
        "matting",
        "generative_fill-outpainting-face_editing",
    ]
    made = plan(str(file), profile, 24576)
    cards = [profile[role] for role in (GENERATIVE_FILL, OUTPAINTING, FACE_EDITING)]
    together = held_mb(cards, lambda card: (card.base, card.options))
    assert together < sum(card.memory_mb for card in cards) / 2
    assert made[GENERATIVE_FILL] is made[OUTPAINTING] is made[FACE_EDITING]
    assert made[OUTPAINTING].gpus == share_of_gpu(cards, 24576) >= together / 24576


def test_of_the_rows_of_a_group_the_largest_numbers_count(tmp_path: Path) -> None:
    rows = "[replicas.outpainting]\nmax = 6\ncpus = 2\n[replicas.face_editing]\nmin = 2\ncpus = 1\n"
    made = of(tmp_path, OWN + rows)
    assert made[GENERATIVE_FILL] == Replicas(2, 6, 2)
    assert made[MATTING] == Replicas()
    rows = (
        '[replicas.outpainting]\naccelerator = "L4"\n[replicas.face_editing]\naccelerator = "T4"\n'
    )
    with pytest.raises(UnknownProfileError, match="different accelerators: L4, T4"):
        of(tmp_path, OWN + rows)


@pytest.mark.parametrize("name", ["lite", "cpu", "sdxl", "open", "studio", "bria", "tiny"])
def test_every_role_is_in_one_group(name: str) -> None:
    profile = load_profile(name)
    found = [role for roles in groups(profile) for role in roles]
    assert sorted(found, key=str) == sorted(profile, key=str)


@pytest.mark.parametrize("name", ["sdxl", "open", "studio", "bria", "tiny"])
def test_on_one_machine_each_gpu_gets_one_process_with_all_models_for_gpus(name: str) -> None:
    profile = load_profile(name)
    layout = dict(on_machine(name, profile, 3))
    on_gpu = tuple(role for role, card in profile.items() if card.torch)
    assert layout.pop(on_gpu) == Replicas(3, 3, 0.0, 1.0)
    assert {one.gpus for one in layout.values()} <= {0.0}
    others = [role for roles in layout for role in roles]
    assert sorted([*on_gpu, *others], key=str) == sorted(profile, key=str)


@pytest.mark.parametrize("name", ["lite", "open"])
def test_a_machine_without_gpus_has_the_groups_of_a_cluster_without(name: str) -> None:
    profile = load_profile(name)
    assert on_machine(name, profile, 0) == on_cluster(name, profile, None)


def test_rows_of_the_profile_can_give_a_model_without_torch_a_gpu(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('base = "lite"\n[replicas.matting]\ngpus = 0.5\n')
    profile = load_profile(str(file))
    assert on_machine(str(file), profile, 0)[MATTING,] == Replicas()
    layout = on_machine(str(file), profile, 2)
    assert layout[MATTING,] == Replicas(2, 2, 0.0, 1.0)
    assert layout[INPAINTING,] == Replicas()


def test_rows_of_the_profile_override_the_card(tmp_path: Path) -> None:
    rows = "[replicas.matting]\nmin = 2\nmax = 9\ncpus = 0.5\n"
    made = of(tmp_path, 'base = "lite"\n' + rows)
    assert made[MATTING] == Replicas(2, 9, 0.5)
    assert made[INPAINTING] == Replicas()
    row = '[replicas.matting]\ngpus = 2\naccelerator = "L4"\n'
    made = of(tmp_path, 'base = "open"\n' + row, 24576)
    assert made[MATTING] == Replicas(gpus=2, accelerator="L4")


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("[replicas.matting]\nmin = 0\n", "min and max"),
        ("[replicas.matting]\nmin = 5\nmax = 2\n", "min and max"),
        ("[replicas.matting]\ngpus = 1.5\n", "must be a whole number"),
        ("[replicas.matting]\ngpus = -1\n", "gpus 0 to 64"),
        ("[replicas.matting]\ncpus = true\n", "cannot take cpus"),
        ('[replicas.matting]\nmin = "2"\n', "cannot take min"),
        ("[replicas.matting]\ncopies = 2\n", "cannot take copies"),
        ("[replicas.captioning]\nmin = 1\n", "replicas of an unknown role: captioning"),
        ("replicas = 3\n", "must be a table"),
    ],
)
def test_invalid_rows_are_refused(tmp_path: Path, rows: str, fault: str) -> None:
    with pytest.raises(UnknownProfileError, match=fault):
        of(tmp_path, 'base = "lite"\n' + rows)
