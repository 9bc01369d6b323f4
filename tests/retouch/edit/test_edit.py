"""`retouch edit` with the application in this process and fake models, and beside a server."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from retouch.command import app
from retouch.edit import connection
from tests.helpers.fake_models import FakeModels
from tests.helpers.places import ROOT
from tests.helpers.server_process import Server

Run = Callable[..., Result]


def picture(path: Path, width: int = 60, height: int = 40) -> None:
    """Write a picture of a colour that its name decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = [sum(path.name.encode()) % 200, 90, 30]
    Image.fromarray(np.full((height, width, 3), colour, np.uint8)).save(path)


def size(path: Path) -> tuple[int, int]:
    """Decode a picture to its last pixel and return its size."""
    with Image.open(path) as image:
        image.load()
        return image.size


def names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `retouch edit` in an empty folder, with fake models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(connection, "_pool", lambda settings, threads: None)
    monkeypatch.setattr(connection, "LocalEngine", lambda pool: FakeModels())
    monkeypatch.setattr(connection, "bound_memory", lambda jobs: None)
    return lambda *words, **more: CliRunner().invoke(app, ["edit", *words], **more)


def test_a_cut_out_of_one_picture(run: Run) -> None:
    picture(Path("in.jpg"))
    result = run("remove-background", "in.jpg", "out.png")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    with Image.open("out.png") as image:
        assert (image.mode, image.size) == ("RGBA", (60, 40))
        alpha = np.asarray(image)[..., 3]
    assert (alpha[0, 0], alpha[20, 30]) == (0, 255)
    assert names(Path()) == ["in.jpg", "out.png"]


def test_the_ending_of_the_result_chooses_its_format(run: Run) -> None:
    picture(Path("in.png"))
    result = run("blur-background", "in.png", "-o", "out.webp")
    assert result.exit_code == 0, result.output
    with Image.open("out.webp") as image:
        assert image.format == "WEBP"
    told = run("remove-background", "in.png", "-o", "cut.jpg")  # alpha needs another format
    assert told.exit_code == 0
    assert "cut.png (not cut.jpg" in told.stderr
    assert not Path("cut.jpg").exists()


def test_a_folder_with_a_bad_picture_and_equal_names(run: Run) -> None:
    for name in ("a.jpg", "a.png", "b.jpg", "sub/c.png"):
        picture(Path("in", name))
    Path("in/bad.jpg").write_bytes(b"no picture")
    Path("in/empty.png").write_bytes(b"")
    result = run("background/remove", "in", "-o", "out", "--recursive", "--jobs", "2")
    assert result.exit_code == 1
    assert names(Path("out")) == ["a-jpg.png", "a-png.png", "b.png", "sub/c.png"]
    assert all(size(Path("out", name)) == (60, 40) for name in names(Path("out")))
    assert "in/bad.jpg: file: " in result.stderr
    assert "in/empty.png: The picture is empty." in result.stderr
    assert "4 done, 2 failed in " in result.stderr
    picture(Path("in/bad.jpg"))
    again = run("background/remove", "in", "-o", "out", "--recursive", "--resume")
    assert "1 done, 4 there already, 1 failed in " in again.stderr
    assert "bad.png" in names(Path("out"))


def test_fields_are_checked_before_any_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(Path("in.jpg"))
    monkeypatch.setattr(connection, "create_app", lambda *_: pytest.fail("it was started"))
    for words, text in (
        (["crop", "--padding", "many"], "padding"),
        (["increase-resolution", "--desired-increase", "3"], "desired_increase"),
        (["erase"], "--mask: this operation needs a mask."),
    ):
        result = run(*words, "in.jpg", "-o", "out.png")
        assert result.exit_code == 2, result.output
        assert text in result.stderr
        assert result.stderr.count("\n") == 1
    assert run("crop", "in.jpg", "-o", "out.png", "--nonsense", "1").exit_code == 2
    assert run("crop", "in.jpg", "-o", "out.png", "--jobs", "0").exit_code == 2


def test_options_reach_the_operation(run: Run) -> None:
    picture(Path("in.png"))
    sizes = {}
    for padding in ("0", "9"):
        assert run("crop", "in.png", "-o", f"{padding}.png", "--padding", padding).exit_code == 0
        sizes[padding] = size(Path(f"{padding}.png"))
    assert sizes["9"] == (sizes["0"][0] + 18, sizes["0"][1] + 18)
    done = run("remove-background", "in.png", "-o", "opaque.png", "--no-preserve-alpha")
    assert done.exit_code == 0


def test_masks_come_from_a_file_or_a_folder(run: Run) -> None:
    for name in ("a", "b"):
        picture(Path(f"in/{name}.jpg"))
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:20] = 255
    Path("masks").mkdir()
    Image.fromarray(mask).save("masks/a.png")
    one = run("erase", "in/a.jpg", "out.png", "--mask", "masks/a.png")
    assert one.exit_code == 0, one.output
    many = run("erase", "in", "-o", "out", "--mask", "masks")
    assert many.exit_code == 1
    assert "in/b.jpg: masks has no picture b." in many.stderr
    assert [Path(name).stem for name in names(Path("out"))] == ["a"]


def test_several_results_are_numbered(run: Run) -> None:
    picture(Path("in.png"), 200, 150)
    result = run("all-masks", "in.png", "-o", "masks/")
    assert result.exit_code == 0, result.output
    found = names(Path("masks"))
    assert "in-1.png" in found
    assert found == sorted(f"in-{number}.png" for number in range(1, len(found) + 1))
    again = run("all-masks", "in.png", "-o", "masks/", "--resume")
    assert "0 done, 1 there already" in again.stderr


def test_stdin_and_stdout(run: Run) -> None:
    picture(Path("in.png"))
    result = run("crop", "-", "-o", "-", input=Path("in.png").read_bytes())
    assert result.exit_code == 0, result.output
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        image.load()
    assert names(Path()) == ["in.png"]


def test_an_operation_that_runs_as_a_job_only(run: Run) -> None:
    picture(Path("in.png"))
    result = run("enhance", "in.png", "out.png")
    assert result.exit_code == 0, result.output
    assert size(Path("out.png"))[0] >= 60


def test_what_the_profile_lacks_is_told_in_words(run: Run) -> None:
    result = run("generate", "-o", "out.png", "--prompt", "a balloon")
    assert result.exit_code == 1
    assert "profile" in result.stderr
    assert names(Path()) == []


def test_the_operations_of_the_server_refuse_in_the_same_words(run: Run) -> None:
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save("clear.png")
    result = run("remove-background", "clear.png", "-o", "out.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("clear.png: ")
    assert result.stderr.count("\n") == 1


def test_no_server_is_one_line(run: Run) -> None:
    picture(Path("in/a.png"))
    picture(Path("in/b.png"))
    result = run("crop", "in", "-o", "out", "--server", "http://127.0.0.1:9", "--token", "hunter2")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "http://127.0.0.1:9" in result.stderr
    assert "hunter2" not in result.output


@pytest.fixture
def server(tmp_path: Path, weights_dir: Path, lite: object) -> Iterator[Server]:
    """A server with tokens and room for two requests of an organisation."""
    process = Server(tmp_path / "server", weights_dir)
    process.start(MAX_AT_ONCE="2", REQUESTS_PER_MINUTE="0")
    yield process
    process.close()


@pytest.mark.slow
@pytest.mark.program
def test_a_server_that_is_busy_gets_every_picture_in_the_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        picture(Path(f"in/{number}.jpg"))
    words = ["edit", "enhance", "in", "-o", "out", "--jobs", "6"]
    address = str(server.http.base_url).rstrip("/")
    wrong = CliRunner().invoke(app, [*words, "--server", address, "--token", "wrong"])
    assert wrong.exit_code == 1
    assert "--token or RETOUCH_EDIT_TOKEN" in wrong.stderr
    monkeypatch.setenv("RETOUCH_EDIT_TOKEN", "secret-a")
    result = CliRunner().invoke(app, [*words, "--server", address])
    assert result.exit_code == 0, result.output
    assert len(names(Path("out"))) == 6
    assert all(size(Path("out", name)) for name in names(Path("out")))


@pytest.mark.slow
@pytest.mark.program
def test_a_killed_run_is_resumed_and_edits_no_picture_twice(
    tmp_path: Path, weights_dir: Path, lite: object, wait_until: Callable[..., None]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(12):
        picture(source / f"{number:02}.jpg", 64, 64)
        image = np.array(Image.open(source / f"{number:02}.jpg"))
        image[16:48, 16:48] = 250
        Image.fromarray(image).save(source / f"{number:02}.jpg")
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    environment = {
        **inherited,
        "RETOUCH_DATA_DIR": str(weights_dir.parent),
        "TMPDIR": str(tmp_path),
    }
    words = ["edit", "blur-background", str(source), "-o", str(out), "--jobs", "2"]
    command = [sys.executable, "-m", "retouch", *words]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    wait_until(lambda: process.poll() is not None or len([*out.glob("*.jpg")]) >= 3)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, (tmp_path / "log").read_text()
    first = {path: path.stat().st_ino for path in out.glob("[0-9]*")}
    assert 3 <= len(first) < 12
    assert all(size(path) == (64, 64) for path in first)  # none is half
    done = subprocess.run(
        [*command, "--resume"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"{12 - len(first)} done, {len(first)} there already in " in done.stderr
    assert names(out) == [f"{number:02}.jpg" for number in range(12)]
    assert all(size(path) == (64, 64) for path in out.iterdir())
    assert {path: path.stat().st_ino for path in first} == first  # none was made twice
