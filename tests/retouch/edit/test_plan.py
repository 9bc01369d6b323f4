"""The plan of `retouch edit`: which pictures, and where each result goes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retouch.edit.plan import Plan, PlanError, Task, locked, make_plan, write_results

Tree = Callable[..., None]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Write files into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(*names: str) -> None:
        for name in names:
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"picture")

    return write


def plan(*words: str, output: str | None = None, recursive: bool = False) -> Plan:
    return make_plan(words, output, recursive=recursive)


def targets(made: Plan) -> dict[str, str]:
    return {str(task.source): str(task.target) for task in made.tasks}


@pytest.mark.parametrize(
    ("words", "output"), [(["in.jpg"], "out.png"), (["in.jpg", "out.png"], None)]
)
def test_one_picture_goes_to_the_file_that_is_named(
    words: list[str], output: str | None, tree: Tree
) -> None:
    tree("in.jpg")
    (task,) = plan(*words, output=output).tasks
    assert (task.source, task.exact) == (Path("in.jpg"), Path("out.png"))


def test_a_second_word_that_exists_is_not_taken_for_the_result(tree: Tree) -> None:
    tree("a.jpg", "b.jpg")
    with pytest.raises(PlanError, match=r"b\.jpg is there already.* -o b\.jpg"):
        plan("a.jpg", "b.jpg")
    assert plan("a.jpg", output="b.jpg").tasks[0].exact == Path("b.jpg")


def test_one_picture_into_a_folder_keeps_its_name(tree: Tree) -> None:
    tree("in.jpg")
    Path("there").mkdir()
    for output in ("there", "new/"):
        assert targets(plan("in.jpg", output=output)) == {"in.jpg": f"{output.rstrip('/')}/in"}


def test_a_folder_is_mirrored_and_hidden_and_other_files_are_left_out(tree: Tree) -> None:
    tree("in/a.JPG", "in/b/c.png", "in/b/d.webp", "in/note.txt", "in/.x.jpg", "in/.git/e.jpg")
    assert targets(plan("in", output="out")) == {"in/a.JPG": "out/a"}
    assert targets(plan("in", output="out", recursive=True)) == {
        "in/a.JPG": "out/a",
        "in/b/c.png": "out/b/c",
        "in/b/d.webp": "out/b/d",
    }
    assert targets(plan("in", "out")) == {"in/a.JPG": "out/a"}


def test_results_with_one_name_get_two(tree: Tree) -> None:
    tree("in/a.jpg", "in/a.png", "in/a-jpg.jpg", "in/b.jpg", "other/b.jpg", "other/B.webp")
    found = targets(plan("in", "other", output="out"))
    assert found["in/a-jpg.jpg"] == "out/a-jpg"  # its own name stays
    assert found["in/a.jpg"] == "out/a-jpg-2"
    assert found["in/a.png"] == "out/a-png"
    assert len({name.casefold() for name in found.values()}) == 6


def test_a_picture_that_is_named_twice_is_edited_once(tree: Tree) -> None:
    tree("in/a.jpg")
    assert len(plan("in", "in/a.jpg", "./in/../in/a.jpg", output="out").tasks) == 1


def test_the_output_folder_inside_the_input_is_left_out(tree: Tree) -> None:
    tree("in/a.jpg", "in/out/a.png")
    assert targets(plan("in", output="in/out", recursive=True)) == {"in/a.jpg": "in/out/a"}


@pytest.mark.parametrize(
    ("words", "output", "text"),
    [
        ([], "out", "Name a picture"),
        (["in"], None, "Say where the result goes"),
        (["in/a.jpg", "in/b.jpg", "c"], None, "Say where the result goes"),
        (["none.jpg"], "out.png", "none.jpg: there is no such file"),
        (["in"], "in", "among the pictures of in"),
        (["in"], "./in/../in", "among the pictures of in"),
        (["in/a.jpg"], "in/a.jpg", "is the picture itself"),
        (["in/a.jpg", "in/b.jpg"], "in", "would lie beside it"),
        (["in/a.jpg", "in/b.jpg"], "in/a.jpg", "need a folder"),
        (["in"], "-", "Only the result of one picture"),
        (["-", "-"], "out", "can be read once"),
        (["empty"], "out", "no JPEG, PNG or WebP file in empty; --recursive"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str], output: str | None, text: str, tree: Tree
) -> None:
    tree("in/a.jpg", "in/b.jpg", "empty/sub/a.jpg")
    with pytest.raises(PlanError, match=text):
        plan(*words, output=output)


def test_stdin_and_stdout_have_one_name(tree: Tree) -> None:
    tree()
    (task,) = plan("-", "-").tasks
    assert (task.source, task.target, task.label) == (None, None, "stdin")
    assert plan("-", output="x.png").tasks[0].exact == Path("x.png")


def test_results_get_the_ending_of_their_kind(tree: Tree) -> None:
    tree("in.jpg")
    (task,) = plan("in.jpg", output="out.jpg").tasks
    assert write_results(task, [(b"1", "png")], is_numbered=False) == [Path("out.png")]
    assert write_results(task, [(b"2", "jpg")], is_numbered=False) == [Path("out.jpg")]
    (task,) = plan("in.jpg", output="out.jpeg").tasks
    assert write_results(task, [(b"3", "jpg")], is_numbered=False) == [Path("out.jpeg")]
    several = write_results(task, [(b"4", "jpg"), (b"5", "jpg")], is_numbered=True)
    assert several == [Path("out-1.jpg"), Path("out-2.jpg")]
    assert [path.read_bytes() for path in several] == [b"4", b"5"]


def test_a_result_that_is_there_counts_unless_its_picture_is_newer(tree: Tree) -> None:
    tree("in/a.jpg", "in/a-1.jpg")
    tasks = {str(task.source): task for task in plan("in", output="out").tasks}
    a, other = tasks["in/a.jpg"], tasks["in/a-1.jpg"]
    write_results(other, [(b"x", "png")], is_numbered=False)
    assert a.result(is_numbered=False) is None  # not that of the other picture
    assert other.result(is_numbered=False) == Path("out/a-1.png")
    os.utime("in/a-1.jpg", (2**33, 2**33))
    assert other.result(is_numbered=False) is None


def test_a_set_of_results_counts_only_when_all_are_there(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree("in/a.jpg")
    (task,) = plan("in", output="out").tasks
    renamed: list[Path] = []
    replace = Path.replace

    def die_at_the_second(self: Path, target: Path) -> Path:
        if renamed:
            raise KeyboardInterrupt
        renamed.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_results(task, [(b"1", "png"), (b"2", "png")], is_numbered=True)
    assert renamed
    assert task.result(is_numbered=True) is None


def test_what_a_killed_run_left_is_removed_and_a_running_one_is_respected(tree: Tree) -> None:
    tree("in/a.jpg", "out/.a.png.retouch-part", "out/b.png")
    made = plan("in", output="out")
    with locked(made):
        assert sorted(path.name for path in Path("out").iterdir()) == ["b.png"]
        with pytest.raises(PlanError, match="Another retouch edit writes into out"), locked(made):
            pass
    with locked(made):
        pass


def test_a_task_for_stdout_has_no_file() -> None:
    task = Task(None, Path("stdin"), None)
    assert task.result(is_numbered=False) is None
    with pytest.raises(ValueError, match="stdout"):
        write_results(task, [(b"", "png")], is_numbered=False)
