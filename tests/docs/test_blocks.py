"""Every fenced block of the pages works as it stands.

Shell blocks run against a server with the models of `lite`, all of a page in one session, since later ones use
what earlier ones have set. Exempt is only the output of programs, and tests/docs/not_run.py lists the commands
that are checked instead of run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from PIL import Image

from models.catalog.profile import load_profile
from models.start_progress import StartProgress
from scripts.documentation.availability import works_in_lite
from scripts.documentation.languages import ENDINGS, LANGUAGES
from scripts.documentation.languages.curl import curl
from scripts.documentation.languages.values import ADDRESS
from scripts.documentation.more_operations import GROUPS
from server.http.health import Readiness
from server.http.shutdown import Shutdown
from server.settings import Settings
from tests.docs.blocks import BLOCKS, PAGES, Block, indented, placeholders
from tests.docs.checkout import Call, Checkout
from tests.docs.not_run import NOT_RUN, row
from tests.helpers import contributing_page
from tests.helpers.places import PHOTOS, ROOT
from tests.helpers.posix_shell import bash_only
from tests.helpers.proxy_page import documented_nginx
from tests.helpers.server_process import Server

OUTPUT = ("text", "console")
"""The languages of blocks that show what a program prints."""
EXEMPT = 3
"""How many there are. A new one fails until this number is changed: is it really output?"""
SESSIONS = {
    page: [block for block in BLOCKS if block.page == page and block.language == "sh"]
    for page in dict.fromkeys(block.page for block in BLOCKS if block.language == "sh")
}
_ADDRESS = "http://127.0.0.1:8000"
BOTH_SHELLS = ("README.md",)
"""The pages that also run in bash, as a newcomer may have it; the others run in dash alone, to save time."""


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: object
) -> Iterator[Server]:
    """A server without tokens, started by the first command of the README in a copy of the checkout."""
    folder = tmp_path_factory.mktemp("served")
    server = Server(folder / "server", weights_dir)
    command = SESSIONS["README.md"][0].text.split()[0]
    assert command == "./scripts/serve"
    server.command, server.cwd = [command], Checkout(folder, weights_dir).root
    server.environment["RETOUCH_PYTHON"] = sys.executable
    yield server.start(API_TOKENS="")
    server.close()


@pytest.fixture(scope="module")
def calls() -> dict[str, list[Call]]:
    """The commands that were recorded instead of run, by page; filled by the sessions in dash."""
    return {}


needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None and "CI" not in os.environ, reason="curl is not installed"
)


@needs_curl
@pytest.mark.parametrize(
    ("page", "shell"),
    [*((page, "dash") for page in SESSIONS), *((page, "bash") for page in BOTH_SHELLS)],
)
def test_the_shell_blocks_of_a_page_run(
    page: str,
    shell: str,
    server: Server,
    calls: dict[str, list[Call]],
    tmp_path: Path,
    weights_dir: Path,
) -> None:
    checkout = Checkout(tmp_path, weights_dir)
    checkout.replace(one.command for one in NOT_RUN)
    output = checkout.run(shell, SESSIONS[page], str(server.http.base_url))
    assert "Traceback" not in output, output
    for call in checkout.recorded():
        row(call).check(call, checkout.root)
    named = re.findall(r"\s(?:-o|>) *([\w.-]+)(?=\s)", _text(page))
    assert set(named) <= set(checkout.made()), output
    if shell == "dash":
        calls[page] = checkout.recorded()


@needs_curl
def test_the_examples_of_the_operations_run(
    server: Server, tmp_path: Path, weights_dir: Path
) -> None:
    """Those that the profile cannot serve, and only those, are refused with 506."""
    examples = {one.slug: one.example for pages in GROUPS.values() for one in pages if one.example}
    codes = {
        slug: curl(example) if works_in_lite(example) else f"if {curl(example)}; then exit 9; fi"
        for slug, example in examples.items()
    }
    blocks = [Block(slug, 1, "sh", code) for slug, code in codes.items()]
    checkout = Checkout(tmp_path, weights_dir)
    for name in (
        "coffee",
        "chelsea",
    ):  # smaller, to save time; the others have a mask or a place in a scene
        with Image.open(PHOTOS / f"{name}.jpg") as photo:
            photo.resize((360, 240)).save(checkout.root / "docs" / "photos" / f"{name}.jpg")
    output = checkout.run("dash", blocks, str(server.http.base_url))
    refused = sum(code.startswith("if ") for code in codes.values())
    assert output.count("returned error: 506") == refused > 20, output
    assert output.count("returned error") == refused, output
    assert {"result.png", "result.zip", "result.psd"} <= set(checkout.made())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_example_in_each_language_runs(
    language: str, server: Server, tmp_path: Path, weights_dir: Path
) -> None:
    program = {"JavaScript": "node", "PHP": "php", "Go": "go"}.get(language)
    if program and shutil.which(program) is None:
        if "CI" in os.environ and program != "go":
            pytest.fail(f"{program} is missing: .ci/run installs it")
        pytest.skip(f"{program} is not installed")
    address = str(server.http.base_url).rstrip("/")
    program_of = LANGUAGES[language][1]
    pages = {one.slug: one for one in (*GROUPS["By words"], *GROUPS["Registered pictures"])}
    commands = {
        "curl": ["dash", "-e"],
        "Python": [sys.executable, "-W", "error"],
        "Go": ["go", "run"],
    }
    command = commands.get(language, [program])
    checkout = Checkout(tmp_path, weights_dir)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for slug in ("colorize", "remove-image"):  # a file, and JSON after a first request
        file = tmp_path / f"{slug}.{ENDINGS[language]}"
        file.write_text(program_of(pages[slug].example).replace(ADDRESS, address))
        subprocess.run(
            [*command, file], cwd=checkout.root, env=environment, check=True, timeout=300
        )
    assert checkout.made() == {"result.png": "PNG"}


def _text(page: str) -> str:
    return "".join(block.text for block in SESSIONS[page])


@needs_curl
def test_the_command_that_the_server_prints_ends_in_a_file(
    server: Server, tmp_path: Path, weights_dir: Path
) -> None:
    (command,) = re.findall(r"^    (curl .*)$", server.text(), re.MULTILINE)
    checkout = Checkout(tmp_path, weights_dir)
    checkout.run("dash", [Block("greeting", 1, "sh", command)], str(server.http.base_url))
    assert checkout.made() == {"cutout.png": "PNG"}


@needs_curl
@pytest.mark.slow  # like the sessions: in the same part of the suite, after them
def test_what_is_not_run_is_counted(calls: dict[str, list[Call]]) -> None:
    if calls.keys() != SESSIONS.keys():
        pytest.skip("not every page has run")
    found = Counter(row(call).command for page in calls.values() for call in page)
    assert found == {one.command: one.times for one in NOT_RUN}


@pytest.mark.parametrize("block", of("sh"), ids=str)
def test_a_shell_block_is_posix_and_has_no_placeholder(block: Block) -> None:
    assert placeholders(block.text) == []
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in block.text.splitlines()]
    assert bash_only([re.sub(r"(?<!\$)'[^']*'", "''", line) for line in lines]) == []
    done = subprocess.run(["dash", "-n", "-c", block.text], capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "text",
    ["curl VISUAL_ID/info", "ray start --address=HEAD:6379", "cat <file>", "x/YOUR-COPY", "f '…'"],
)
def test_a_placeholder_is_found(text: str) -> None:
    assert placeholders(text)


def test_what_the_blocks_need_is_no_placeholder() -> None:
    assert placeholders("RETOUCH_PORT=1 curl -X POST \"$HOST/${ID}\" -d 'A TEXT'  # NAME") == []


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    known = {"sh", "python", "json", "toml", "yaml", "nginx", "apache", "caddyfile", *OUTPUT}
    assert [str(block) for block in BLOCKS if block.language not in known] == []
    assert len(of(*OUTPUT)) == EXEMPT, list(map(str, of(*OUTPUT)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_code_hides_behind_an_indentation(page: Path) -> None:
    assert indented(page) == []


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_a_python_block_runs(
    block: Block, request: pytest.FixtureRequest, tmp_path: Path, weights_dir: Path
) -> None:
    if block.page == "CONTRIBUTING.md":  # files of a change, which that test makes and tests
        texts = [*contributing_page.FILES.values(), 'name="grabcut"']
        assert any(text in block.text for text in texts)
        compile(block.text, str(block), "exec")
        return
    text, folder = block.text, ROOT
    if _ADDRESS in text:  # it calls the server and writes files
        server: Server = request.getfixturevalue("server")
        checkout = Checkout(tmp_path, weights_dir)
        text, folder = text.replace(_ADDRESS, str(server.http.base_url).rstrip("/")), checkout.root
    command = [sys.executable, "-W", "error", "-c", text]
    subprocess.run(command, cwd=folder, check=True, timeout=300)
    if folder != ROOT:
        assert set(re.findall(r'Path\("(\w+\.\w+)"\)', text)) <= set(checkout.made())
        assert checkout.made()


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_a_toml_block_is_a_profile(block: Block, tmp_path: Path) -> None:
    if "grabcut" in block.text:  # test_contributing.py adds this card
        assert block.text == contributing_page.block('matting = "grabcut"')
        return
    file = tmp_path / "my-profile.toml"
    file.write_text(block.text)
    assert load_profile(str(file))


def audit_line(block: Block, server: Server) -> None:
    """The fields are those of a line that a server writes, and the page has a row for each."""
    photo = (ROOT / "docs" / "photos" / "coffee.jpg").read_bytes()
    assert server.http.post("/v1/crop", files={"file": photo}).status_code == 200
    _, _, line = server.text().rpartition("retouch.audit: ")
    in_text = {"time", "level", "logger", "event", "operation", "code"}
    shown = json.loads(block.text).keys()
    assert shown == in_text | set(re.findall(r" (\w+)=", line.splitlines()[0]))
    page = (ROOT / block.page).read_text()
    for name in shown - {"time", "level", "logger", "event"}:
        assert re.search(rf"^\| .*`{name}`", page, re.MULTILINE), name


def state(block: Block, server: Server) -> None:
    """A webhook has the form of the answer of /v2/status in the description of the API."""
    document = server.http.get("/openapi.json").json()
    answer = document["paths"]["/v2/status/{request_id}"]["get"]["responses"]["200"]
    schema = {
        **answer["content"]["application/json"]["schema"],
        "components": document["components"],
    }
    jsonschema.validate(json.loads(block.text), schema)


def start(block: Block, server: Server) -> None:
    """It is what `/readyz` answers at a start that has come as far as the numbers say."""
    shown = json.loads(block.text)
    far = shown["progress"]
    assert 0 < far["parts"] < far["total_parts"]
    progress = StartProgress()
    ended = [f"ended {number}" for number in range(far["parts"])]
    left = [f"left {number}" for number in range(far["total_parts"] - far["parts"])]
    progress.expect_parts(dict.fromkeys((*ended, *left), 0))
    for part in ended:
        progress.end_part(part)
    progress.begin_part(far["card"])
    progress.fetched(left[0], far["bytes"], far["total_bytes"])
    for card, text in far["failed"].items():
        progress.fail(card, text)
    readiness = Readiness(Shutdown(1, 1), awaited=set(shown["awaited"]), progress=progress)
    assert readiness.state() == (shown, 503)


JSON_CHECKS: dict[str, Callable[[Block, Server], None]] = {
    "docs/deployment.md": start,
    "docs/logs.md": audit_line,
    "docs/webhooks.md": state,
}


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_a_json_block_has_the_form_that_it_is_an_example_of(block: Block, server: Server) -> None:
    JSON_CHECKS[block.page](block, server)


@pytest.mark.parametrize("block", of("nginx", "apache", "caddyfile", "yaml"), ids=str)
def test_a_proxy_sends_large_bodies_and_waits_as_long_as_the_server(block: Block) -> None:
    settings, text = Settings(), block.text
    assert f"127.0.0.1:{settings.port}" in text
    seconds = {"nginx": r"proxy_read_timeout (\d+)s;", "apache": r"timeout=(\d+)$"}
    assert text.count("{") == text.count("}")
    if block.language in seconds:
        (wait,) = re.findall(seconds[block.language], text, re.MULTILINE)
        assert int(wait) > settings.request_timeout_s
    if block.language == "nginx":  # tests/process/test_proxy.py runs it
        assert "proxy_pass" in documented_nginx()
        (size,) = re.findall(r"client_max_body_size (\d+)m;", text)
        assert int(size) == settings.max_body_mb
    if block.language == "yaml":  # Traefik's
        http = yaml.safe_load(text)["http"]
        assert {router["service"] for router in http["routers"].values()} == set(http["services"])
