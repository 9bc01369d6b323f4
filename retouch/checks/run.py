"""Runs all checks of `retouch doctor`; those that need the settings only if these can be read."""

import difflib
import os
from collections.abc import Iterator
from functools import partial

from models.catalog.profile import load_profile
from models.errors import InvalidSettingsError, UnknownProfileError
from models.settings import known_names, read_settings
from models.variables import PREFIX, variables_that_are_set
from retouch.checks import machine, services
from retouch.checks.finding import Finding, ok, problem, warning, within_limit
from server.settings import Settings


def all_findings() -> list[Finding]:
    """Return what every check found, in the order in which to repair it."""
    return list(_findings())


def _findings() -> Iterator[Finding]:
    yield machine.python()
    yield machine.processor()
    yield machine.memory()
    yield from unknown_names()
    settings = None
    try:
        settings = read_settings(Settings)
        load_profile(settings.profile)
        yield ok("settings", f"{_count()} set, all valid")
    except InvalidSettingsError as error:
        text = "; ".join(line.removeprefix("settings: ") for line in str(error).splitlines())
        yield problem("settings", text)
    except UnknownProfileError as error:
        settings = None
        yield problem("settings", f"RETOUCH_PROFILE: {error}")
    if settings is not None:
        yield machine.disk(settings.data_dir)
        cards = machine.gpus()
        yield machine.gpu(cards, settings.profile, settings.device, settings.engine)
        yield machine.fitting_profile(cards, settings.profile)
        yield services.weights(settings)
        yield services.port(settings)
        yield within_limit("database", partial(services.database, settings))
        yield within_limit("store", partial(services.store, settings))
    yield machine.clock()


def _count() -> int:
    return sum(name.upper().startswith(PREFIX) for name, _ in variables_that_are_set(os.environ))


def unknown_names() -> Iterator[Finding]:
    """Yield a warning for each RETOUCH_ variable that nothing reads, with the nearest name that is known."""
    known = known_names()
    for name, _ in variables_that_are_set(os.environ):
        if not name.upper().startswith(PREFIX) or name.upper() in known:
            continue
        near = difflib.get_close_matches(name.upper(), known, 1, 0.0)
        yield warning("names", f"{name} is no setting; the nearest one is {near[0]}", variable=name)
