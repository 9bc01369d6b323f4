"""`retouch db`: show and migrate the schema of the database, SQLite or PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine, inspect

from retouch.failures import fail
from retouch.opening import chosen_by, load_settings
from server.settings import Settings
from storage.database import open_engine, wrap_database_errors
from storage.errors import FolderInUseError, NewerSchemaError, StorageError
from storage.folder_lock import FolderLock
from storage.records import ServerRow
from storage.schema import Migration, SchemaState, schema_state
from storage.schema import downgrade as migrate_down
from storage.schema import migrate as migrate_up
from storage.server_lease import live_servers

app = typer.Typer(
    help="The schema of the database in RETOUCH_DATABASE_URL, or else in RETOUCH_DATA_DIR. The queue of jobs"
    " has tables of its own, which its library migrates.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def current() -> None:
    """Print the revision of the schema, and what an upgrade would do. Status 1: it is not the newest."""
    settings = load_settings()
    with _engine(settings, create=False) as engine:
        state = schema_state(engine)
    typer.echo(
        f"{chosen_by(settings)}: schema {state.found or 'none'}; the newest is {state.head}."
    )
    _list("An upgrade adds", state.pending)
    raise typer.Exit(1 if state.pending else 0)


@app.command()
def upgrade() -> None:
    """Migrate the schema to the newest revision. A server does the same at its start."""
    settings = load_settings()
    with _engine(settings, create=True) as engine:
        state = schema_state(engine)
        if not state.pending:
            typer.echo(f"{chosen_by(settings)}: schema {state.found} is the newest; nothing to do.")
            return
        _list(
            f"{chosen_by(settings)}: from {state.found or 'nothing'} to {state.head}", state.pending
        )
        migrate_up(engine)
    typer.echo(f"Done: schema {state.head}. Servers of earlier versions do not start on it.")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to, such as 0006.")],
) -> None:
    """Migrate the schema back. What later revisions added is lost, and no server may be running."""
    settings = load_settings()
    with _engine(settings, create=False) as engine, _nobody_serves(settings, engine):
        state = schema_state(engine)
        try:
            migrate_down(engine, revision)
        except ValueError as error:
            raise fail(f"{chosen_by(settings)}: {error}", 2) from None
        _list(f"{chosen_by(settings)}: removed", _after(state, revision))
    typer.echo(f"Done: schema {revision}. The next start of this version migrates it again.")


def _after(state: SchemaState, revision: str) -> Sequence[Migration]:
    """Return what a downgrade to a revision has undone, newest first."""
    revisions = [one.revision for one in state.done]
    return state.done[revisions.index(revision) + 1 :][::-1]


def _list(title: str, migrations: Sequence[Migration]) -> None:
    if migrations:
        typer.echo(f"{title}:")
    for one in migrations:
        typer.echo(f"  {one.revision}  {one.about}")


@contextmanager
def _engine(settings: Settings, *, create: bool) -> Iterator[Engine]:
    """Open the database; errors end the command. create: make a file that is not there, instead of an error."""
    url = settings.records_url
    try:
        if settings.database_url is None:
            if not (create or Path(str(url.database)).exists()):
                raise fail(f"{chosen_by(settings)}: there is no database yet.")
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = open_engine(url)
        try:
            with wrap_database_errors():
                yield engine
        finally:
            engine.dispose()
    except FolderInUseError as error:
        raise fail(f"{error}: stop it first.") from None
    except (OSError, StorageError) as error:
        status = 2 if isinstance(error, NewerSchemaError) else 1
        raise fail(f"{chosen_by(settings)}: {error}", status) from None


@contextmanager
def _nobody_serves(settings: Settings, engine: Engine) -> Iterator[None]:
    """Refuse to go on while a server uses the database, and keep new ones off a folder meanwhile."""
    if settings.database_url is None:
        with closing(FolderLock(settings.data_dir)):
            yield
        return
    has_table = inspect(engine).has_table(ServerRow.__tablename__)
    if names := live_servers(engine) if has_table else []:
        raise fail(
            f"{chosen_by(settings)}: these servers use it; stop them first: {', '.join(names)}"
        )
    yield
