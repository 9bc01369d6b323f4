"""Two servers of this project have the same contract, and other models than those change pixels alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retouch.command import app
from tests.helpers.server_process import Server, mask_for, sample

OPERATIONS = (
    "v2/image/edit/remove_background",
    "v2/image/edit/erase",
    "v1/background/blur",
    "v1/product/packshot",
)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: object
) -> Iterator[list[Server]]:
    """Two servers with the models of `lite`."""
    made = [Server(tmp_path_factory.mktemp(name), weights_dir) for name in "ab"]
    for one in made:
        one.start(WORKERS="1")
    yield made
    for one in made:
        one.close()


@pytest.mark.slow
@pytest.mark.program
def test_two_servers_have_the_same_contract(servers: list[Server], tmp_path: Path) -> None:
    folder, output = tmp_path / "sample", tmp_path / "out"
    folder.mkdir()
    photograph = sample("astronaut", 200)
    (folder / "a.jpg").write_bytes(photograph)
    (folder / "a-mask.png").write_bytes(mask_for(photograph))
    words = ["parity", "--sample", str(folder), "-o", str(output), "--mode", "both"]
    for one in servers:
        words += ["--base", str(one.http.base_url), "--token", "secret-a"]
    for name in OPERATIONS:
        words += ["--operation", name]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = json.loads((output / "parity.json").read_text())
    edits = [one for one in found["comparisons"] if one["pairs"]]
    assert len(edits) == 7
    assert {pair["pixels"]["mean"] for one in edits for pair in one["pairs"]} == {0.0}
    wrong = {
        one["request"].partition(": ")[2]: [seen["status"] for seen in one["answers"]]
        for one in found["comparisons"]
        if one not in edits
    }
    assert wrong == {
        "no picture": [400, 400],
        "a picture that is none": [415, 415],
        "an address without a host": [460, 460],
        "a wrong token": [401, 401],
        "an unknown route": [404, 404],
        "the state of an unknown request": [404, 404],
    }
