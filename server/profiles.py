"""Say what the present profile has no model for, and which profiles have one."""

from models.catalog.profile import profile_title, profiles_with
from models.roles import role_named
from server.errors import NotInProfileError


def not_in_profile(profile: str, role: str) -> NotInProfileError:
    """Return the error of a request that needs a role which the profile lacks.

    profile: as in the setting PROFILE. role: its name. A path is never told to callers, only the file's
    name.
    """
    text = f"Profile {profile_title(profile)} has no model for {role.replace('_', ' ')}"
    others = [name for name in profiles_with(role_named(role)) if name != profile]
    if others:
        names = ", ".join(others)
        text += f"; profiles that have one: {names} (RETOUCH_PROFILE={others[0]})"
    return NotInProfileError(f"{text}.")
