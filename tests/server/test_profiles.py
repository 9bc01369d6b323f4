"""What a profile cannot do, and which profiles can."""

import pytest

from models.roles import CAPTIONING, MATTING, Role
from server.profiles import not_in_profile


@pytest.mark.parametrize(
    ("profile", "role", "text"),
    [
        (
            "lite",
            CAPTIONING,
            "Profile lite has no model for captioning;"
            " profiles that have one: cpu, open, sdxl, studio, bria (RETOUCH_PROFILE=cpu).",
        ),
        (
            "open",
            CAPTIONING,
            "Profile open has no model for captioning;"
            " profiles that have one: cpu, sdxl, studio, bria (RETOUCH_PROFILE=cpu).",
        ),
        (
            "~/my.toml",
            MATTING,
            "Profile my.toml has no model for matting;"
            " profiles that have one: cpu, lite, open, sdxl, studio, bria (RETOUCH_PROFILE=cpu).",
        ),
    ],
)
def test_the_text_names_the_present_profile_and_the_others(
    profile: str, role: Role[object], text: str
) -> None:
    error = not_in_profile(profile, role.name)
    assert error.text == text
    assert (error.code, error.status) == (506, "NOT_IN_PROFILE")
