"""Which pictures to edit and where each result goes: no two results have one name, and none replaces an input."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""What is taken from a folder, in any case."""
RESULTS = ("png", "jpg", "jpeg", "webp", "psd", "zip", "json")
"""The endings that a result can have."""
STANDARD = "-"
"""The name of stdin, and of stdout."""
_PART = ".retouch-part"


class PlanError(Exception):
    """The command cannot be meant like this. The text says what to write instead."""


@dataclass(frozen=True)
class Task:
    """One picture to edit.

    source: its file; None for stdin, and for an operation without a picture. relative: its path in the folder
    that was named, or its name. target: the path of the result without its ending; None for stdout. exact:
    the file that the user named for the result, if any.
    """

    source: Path | None
    relative: Path
    target: Path | None
    exact: Path | None = None

    @property
    def label(self) -> str:
        """What messages call the picture."""
        return str(self.source or self.relative)

    def result(self, *, is_numbered: bool) -> Path | None:
        """Return the first result of an earlier run; None if there is none, or it is older than the picture.

        is_numbered: whether the operation may make several.
        """
        if self.target is None:
            return None
        name = f"{self.target.name}-1" if is_numbered else self.target.name
        candidates = [self.target.with_name(f"{name}.{end}") for end in RESULTS]
        if self.exact is not None and not is_numbered:
            candidates.append(self.exact)
        for path in candidates:
            if path.is_file() and not self._is_newer_than(path):
                return path
        return None

    def _is_newer_than(self, path: Path) -> bool:
        if self.source is None:
            return False
        return self.source.stat().st_mtime_ns > path.stat().st_mtime_ns


@dataclass(frozen=True)
class Plan:
    """All tasks. folder: the output folder; None for one result in a file or on stdout."""

    tasks: Sequence[Task]
    folder: Path | None


def make_plan(
    words: Sequence[str], output: str | None, *, recursive: bool, needs_picture: bool = True
) -> Plan:
    """Return what to edit. words: files, folders and `-`; raises PlanError.

    Without `output`, the second of two words is the result, unless something is there already.
    """
    sources = list(words)
    if output is None:
        sources, output = _without_output(sources, needs_picture)
    if not sources and needs_picture:
        raise PlanError("Name a picture to edit, a folder of pictures, or - for stdin.")
    if sources.count(STANDARD) > 1:
        raise PlanError("- stands for stdin, and can be read once.")
    for word in sources:
        if word != STANDARD and not Path(word).exists():
            raise PlanError(f"{word}: there is no such file or folder.")
    is_one = not sources or (len(sources) == 1 and not Path(sources[0]).is_dir())
    if output == STANDARD:
        if not is_one:
            raise PlanError(
                "Only the result of one picture can go to stdout; name a folder with -o."
            )
        return Plan([_single(sources, None)], None)
    target = Path(output)
    if is_one and not (target.is_dir() or output.endswith(os.sep)):
        return Plan([_single(sources, target)], None)
    if target.exists() and not target.is_dir():
        raise PlanError(f"{output} is a file; the results of several pictures need a folder.")
    return Plan(_in_folder(sources, target, recursive), target)


def _without_output(sources: list[str], needs_picture: bool) -> tuple[list[str], str]:
    """Return the inputs and the output of words without -o."""
    if len(sources) == (2 if needs_picture else 1):
        last = sources[-1]
        if last == STANDARD or not Path(last).exists():
            return sources[:-1], last
        raise PlanError(
            f"{last} is there already. If it is the result to replace, write -o {last}; if it is another"
            " picture to edit, name a folder for the results with -o."
        )
    raise PlanError("Say where the result goes: -o FILE, -o FOLDER, or -o - for stdout.")


def _single(sources: list[str], exact: Path | None) -> Task:
    """Return the only task; raises PlanError if its result would replace its picture."""
    is_file = bool(sources) and sources[0] != STANDARD
    source = Path(sources[0]) if is_file else None
    if source is not None and exact is not None and exact.exists() and exact.samefile(source):
        raise PlanError(f"{exact} is the picture itself; name another file for the result.")
    relative = Path(source.name) if source else Path("stdin" if sources else "result")
    return Task(source, relative, exact and exact.with_suffix(""), exact)


def _in_folder(sources: list[str], folder: Path, recursive: bool) -> list[Task]:
    """Return the tasks whose results go into a folder, each with a name of its own."""
    found: dict[Path, tuple[Path | None, Path]] = {}
    for word in sources:
        path = Path(word)
        if word == STANDARD:
            found[path] = (None, Path("stdin"))
        elif path.is_dir():
            if folder.exists() and folder.samefile(path):
                raise PlanError(
                    f"The results would lie among the pictures of {path}; name another folder."
                )
            for file in _pictures(path, folder, recursive):
                found.setdefault(file.resolve(), (file, file.relative_to(path)))
        else:
            found.setdefault(path.resolve(), (path, Path(path.name)))
    if not sources:
        found[folder] = (None, Path("result"))
    if not found:
        hint = "" if recursive else "; --recursive looks into its folders too"
        raise PlanError(f"There is no JPEG, PNG or WebP file in {', '.join(sources)}{hint}.")
    names = _distinct([relative for _, relative in found.values()])
    tasks = [
        Task(source, relative, folder / name)
        for (source, relative), name in zip(found.values(), names, strict=True)
    ]
    for task in tasks:
        if task.source is not None and task.source.parent.resolve() == _resolved(task.target):
            raise PlanError(
                f"The result of {task.source} would lie beside it; name another folder for the results."
            )
    return tasks


def _resolved(target: Path | None) -> Path | None:
    return None if target is None else target.parent.resolve()


def _pictures(folder: Path, output: Path, recursive: bool) -> Iterator[Path]:
    """Yield the picture files of a folder in order, without hidden ones and those of the output folder."""
    kept_out = output.resolve()
    for parent, folders, names in os.walk(folder):
        inside = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [n for n in inside if Path(parent, n).resolve() != kept_out] * recursive
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURES:
                yield Path(parent, name)


def _distinct(relatives: Sequence[Path]) -> list[Path]:
    """Return the paths of the results without their endings, all different whatever the case of letters.

    Pictures that differ in their endings alone keep them: `a.jpg` and `a.png` become `a-jpg` and `a-png`.
    """
    stems = [relative.with_suffix("") for relative in relatives]
    counts: dict[str, int] = {}
    for stem in stems:
        counts[_folded(stem)] = counts.get(_folded(stem), 0) + 1
    taken = {key for key, count in counts.items() if count == 1}
    names = []
    for relative, stem in zip(relatives, stems, strict=True):
        name = stem
        if counts[_folded(stem)] > 1:
            base = f"{stem.name}{relative.suffix.replace('.', '-')}"
            name, number = stem.with_name(base), 1
            while _folded(name) in taken:
                number += 1
                name = stem.with_name(f"{base}-{number}")
            taken.add(_folded(name))
        names.append(name)
    return names


def _folded(path: Path) -> str:
    return str(path).casefold()


def write_results(
    task: Task, files: Sequence[tuple[bytes, str]], *, is_numbered: bool
) -> list[Path]:
    """Write the results of a task and return their paths; each file appears whole or not at all.

    files: content and ending. is_numbered: as in `Task.result`. The first one appears last, so that a task
    with a first result has all. Raises OSError, and ValueError for a task whose
    result goes to stdout.
    """
    target = task.target
    if target is None:
        raise ValueError("the result of this task goes to stdout")
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (_, ending) in enumerate(files, 1):
        suffix = f"-{number}" if is_numbered or number > 1 else ""
        paths.append(_named(task, target, suffix, ending))
    parts = [path.with_name(f".{path.name}{_PART}") for path in paths]
    for part, (data, _) in zip(parts, files, strict=True):
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    for part, path in [*zip(parts, paths, strict=True)][::-1]:
        part.replace(path)
    return paths


def _named(task: Task, target: Path, suffix: str, ending: str) -> Path:
    """Return the path of a result: the file that was named, if its ending fits."""
    exact = task.exact
    if exact is not None and not suffix:
        same = exact.suffix.lower().replace(".jpeg", ".jpg") == f".{ending}"
        if same or not exact.suffix:
            return exact
    return target.with_name(f"{target.name}{suffix}.{ending}")


@contextmanager
def locked(plan: Plan) -> Iterator[None]:
    """Keep other runs off the output folder, and remove what a killed one left; raises PlanError, OSError."""
    if plan.folder is None:
        yield
        return
    plan.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(plan.folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlanError(f"Another retouch edit writes into {plan.folder}.") from None
        except OSError:  # a file system without locks
            pass
        for parent in {task.target.parent for task in plan.tasks if task.target is not None}:
            for part in parent.glob(f".*{_PART}"):
                part.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
