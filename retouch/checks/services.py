"""Checks of what the settings name: weights, port, database and bucket."""

import os
import time
from pathlib import Path

import httpx2 as httpx
from sqlalchemy import text as sql

from models.catalog.profile import load_profile
from models.catalog.source import HubFolder, WeightFile
from models.weights.cache import WeightsCache
from retouch.checks.finding import Finding, ok, problem, warning
from server.public_host import listening_problem, public_address
from server.settings import Settings, is_loopback
from storage.bucket import Bucket
from storage.database import open_engine, wrap_database_errors
from storage.s3 import S3Objects
from storage.schema import schema_state

_MIB = 2**20
_SKEW_S = 30.0
"""Difference to the clock of the database from which links and leases are in danger."""


def weights(settings: Settings) -> Finding:
    """Check which weights of the profile are here; sizes alone, `retouch weights verify` hashes them."""
    cache = WeightsCache(settings.weights_dir, settings.models_dir)
    parts = {
        part.name: part for card in load_profile(settings.profile).values() for part in card.parts
    }
    here, missing, wrong = 0, [], []
    missing_bytes = 0
    for name, part in parts.items():
        path = cache.path(part)
        if not path.exists():
            missing.append(name)
            if isinstance(part, WeightFile):
                missing_bytes += part.size or 0
            elif isinstance(part, HubFolder):
                missing_bytes += int(part.size_mb * _MIB)
            continue
        here += path.stat().st_size if path.is_file() else _size(path)
        is_own = cache.copy(part) is not None
        if (
            isinstance(part, WeightFile)
            and not is_own
            and part.size not in (None, path.stat().st_size)
        ):
            wrong.append(name)
    details = {"folder": str(cache.folder), "bytes": here, "missing_bytes": missing_bytes}
    details |= {"missing": missing, "wrong": wrong}
    shown = f"{here / _MIB:.1f} MiB of profile {settings.profile} in {cache.folder.absolute()}"
    if wrong:
        return problem("weights", f"{shown}; of a wrong size: {', '.join(wrong)}", **details)
    if missing:
        more = f"missing, about {missing_bytes / _MIB:.1f} MiB: {', '.join(missing)}"
        return warning("weights", f"{shown}; {more}. The first start fetches them", **details)
    return ok("weights", shown, **details)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def port(settings: Settings) -> Finding:
    """Check whether a server can listen; one that answers there already is a warning."""
    address = f"{settings.host} port {settings.port}"
    found = listening_problem(settings)
    if found is None:
        needs_token = not settings.api_tokens and public_address(settings) is not None
        note = "; it needs a token, here or in the database" if needs_token else ""
        if settings.operators is not None:
            address += f" and {settings.operator_host} port {settings.operator_port}"
        return ok("port", f"{address} is free{note}")
    if is_loopback(settings.host) and _is_retouch(settings.port):
        return warning("port", f"a Retouch server answers on {address} already")
    return problem("port", found)


def _is_retouch(number: int) -> bool:
    try:
        answer = httpx.get(f"http://127.0.0.1:{number}/readyz", timeout=3, trust_env=False)
        return "ready" in answer.json()
    except (httpx.HTTPError, ValueError, TypeError):
        return False


def database(settings: Settings) -> Finding:
    """Check whether the database answers, its schema, and its clock; raises StorageError."""
    url = settings.records_url
    if settings.database_url is None and not Path(str(url.database)).exists():
        return ok("database", f"SQLite in {settings.data_dir.absolute()}, made at the first start")
    engine = open_engine(url)
    try:
        with wrap_database_errors():
            state = schema_state(engine)
            skew = 0.0
            if settings.database_url is not None:
                with engine.connect() as connection:
                    theirs = connection.scalar(sql("SELECT extract(epoch FROM clock_timestamp())"))
                    skew = abs(float(theirs or 0) - time.time())
    finally:
        engine.dispose()
    kind = "SQLite" if settings.database_url is None else "PostgreSQL"
    details = {"kind": kind, "schema": state.found, "newest": state.head}
    shown = f"{kind}, schema {state.found or 'none'} of {state.head}"
    if skew > _SKEW_S:
        return problem("database", f"{shown}; its clock differs by {skew:.0f} s", **details)
    if state.pending:
        return warning("database", f"{shown}: the next start migrates it", **details)
    return ok("database", shown, **details)


def store(settings: Settings) -> Finding:
    """Check whether the bucket answers, or the folder of the results can be written; raises OSError."""
    address = settings.store_address
    if isinstance(address, Bucket):
        S3Objects(address, "results").check()
        return ok("bucket", f"s3://{address.name} answers", bucket=address.name)
    there = next(
        path for path in (address.absolute(), *address.absolute().parents) if path.exists()
    )
    if not there.is_dir() or not _is_writable(there):
        return problem("folder", f"{there} cannot be written to")
    return ok("folder", f"results go to {address.absolute()}")


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
