"""The environments of the scripts: what is installed, and what happens when that fails."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

CALL = re.compile(r"scripts/environment (\.venv\S*) (\S+)")


def test_no_script_rebuilds_the_environment_of_another() -> None:
    wanted: dict[str, set[str]] = {}
    for script in sorted((ROOT / "scripts").iterdir()):
        if script.is_file() and script.suffix == "":
            for folder, extras in CALL.findall(script.read_text()):
                wanted.setdefault(folder, set()).add(extras)
    assert wanted[".venv-test"] == {"cluster,test"}
    assert all(len(extras) == 1 for extras in wanted.values()), wanted


PYTHON = """\
#!/bin/sh
# Stands for Python, venv and pip: writes its arguments to $CALLS, and the real Python runs the script itself.
case "$*" in *"-m scripts.environment"*) exec "$REAL" "$@" ;; esac
echo "$*" >>"$CALLS"
case "$*" in
  *"-m venv --clear"*)
    if [ -n "$VENV_SAYS" ]; then echo "$VENV_SAYS"; exit 1; fi
    mkdir -p "$4/bin" && cp "$0" "$4/bin/python"
    ;;
  *--require-hashes*) sleep "$SECONDS_EACH"; printf '%b' "$PIP_SAYS"; exit "$HASHED" ;;
  *freeze*) echo "$INSTALLED" ;;
  -I*) exit "$ELSEWHERE" ;;
  -c*) exit "$TOO_OLD" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the script, its requirements and a fake Python."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    for name in ("environment", "environment.py", "install_progress.py", "common.sh"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts")
    shutil.copytree(ROOT / "deploy" / "requirements", folder / "deploy" / "requirements")
    (folder / "pyproject.toml").write_text("")
    python = folder / "my python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def start(checkout: Path, folder: str = ".venv", **variables: str) -> subprocess.Popen[str]:
    """Start to make an environment."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    fake = {"CALLS": str(checkout / "calls"), "REAL": sys.executable, "HASHED": "0", "TOO_OLD": "0"}
    fake |= {"INSTALLED": "numpy==2.0", "ELSEWHERE": "0", "SECONDS_EACH": "0"}
    fake |= {
        "PIP_SAYS": "",
        "VENV_SAYS": "",
        "RETOUCH_UV": "0",
        "RETOUCH_PYTHON": str(checkout / "my python"),
    }
    return subprocess.Popen(
        ["scripts/environment", folder, "-"],
        cwd=checkout,
        env={**inherited, **fake, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )


def installs(checkout: Path) -> list[str]:
    """Return what pip was told to install, in order."""
    calls = checkout / "calls"
    lines = calls.read_text().splitlines() if calls.exists() else []
    return [line for line in lines if " install " in line]


def make(
    checkout: Path, folder: str = ".venv", **variables: str
) -> tuple[subprocess.Popen[str], str, list[str]]:
    """Make an environment; return the process, its stderr, and what was installed."""
    (checkout / "calls").unlink(missing_ok=True)
    process = start(checkout, folder, **variables)
    stderr = process.communicate(timeout=60)[1]
    return process, stderr, installs(checkout)


def test_the_tested_packages_are_installed_by_hash_and_once(checkout: Path) -> None:
    done, _, (locked, own) = make(checkout)
    assert done.returncode == 0
    assert "--require-hashes --requirement deploy/requirements/lite.txt" in locked
    assert "--editable . " in own
    assert make(checkout)[1:] == ("", [])


UV = """\
#!/bin/sh
# Stands for uv: writes its arguments to $CALLS and makes the environment with the fake Python.
echo "uv $*" >>"$CALLS"
case "$*" in
  "venv --quiet --clear --seed --python "*) mkdir -p "$7/bin" && cp "$6" "$7/bin/python" ;;
  *--require-hashes*) exit "$HASHED" ;;
esac
"""


@pytest.fixture
def uv(checkout: Path) -> str:
    """The path of a fake uv."""
    path = checkout / "uv"
    path.write_text(UV)
    path.chmod(0o755)
    return str(path)


def test_uv_installs_the_tested_packages_by_hash_where_it_is_there(checkout: Path, uv: str) -> None:
    done, stderr, (locked, own) = make(checkout, RETOUCH_UV=uv)
    assert done.returncode == 0, stderr
    python = checkout / ".venv" / "bin" / "python"
    file = checkout / "deploy" / "requirements" / "lite.txt"
    wanted = f"--no-deps --require-hashes --requirement {file}"
    assert locked == f"uv pip install --python {python} {wanted}"
    assert own == f"uv pip install --python {python} --editable ."
    assert make(checkout, RETOUCH_UV=uv)[1:] == ("", [])


def test_uv_is_found_in_the_path(checkout: Path, uv: str) -> None:
    path = f"{checkout}{os.pathsep}{os.environ['PATH']}"
    assert len(make(checkout, RETOUCH_UV="", PATH=path)[2]) == 2
    assert "\nuv venv " in (checkout / "calls").read_text()


def test_pip_installs_where_uv_fails(checkout: Path, uv: str) -> None:
    failing = checkout / "failing"
    failing.write_text('#!/bin/sh\necho "uv $*" >>"$CALLS"\nexit 2\n')
    failing.chmod(0o755)
    done, stderr, (locked, own) = make(checkout, RETOUCH_UV=str(failing))
    assert done.returncode == 0
    assert "could not do that: installing with pip" in stderr
    assert "-m pip" in locked
    assert "-m pip" in own


def test_uv_is_not_used_for_other_packages_than_the_tested_ones(checkout: Path, uv: str) -> None:
    installed = make(checkout, RETOUCH_UV=uv, RETOUCH_LOCKED="0")[2]
    assert not any(line.startswith("uv") for line in installed)


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Path) -> None:
    make(checkout)
    (checkout / ".venv" / "bin" / "python").unlink()
    assert len(make(checkout)[2]) == 2


def test_a_package_that_does_not_match_its_hash_is_never_replaced(checkout: Path) -> None:
    done, stderr, installed = make(checkout, HASHED="1")
    assert done.returncode == 1
    assert len(installed) == 1
    assert "RETOUCH_LOCKED=0" in stderr
    assert not (checkout / ".venv" / "made-from").exists()
    assert len(make(checkout)[2]) == 2


@pytest.mark.parametrize("value", ["0", " 0\r"])
def test_the_newest_packages_are_installed_on_request(value: str, checkout: Path) -> None:
    done, stderr, installed = make(checkout, RETOUCH_LOCKED=value)
    assert done.returncode == 0
    assert "without the tested hashes" in stderr
    assert not any("--require-hashes" in line for line in installed)


def test_the_newest_packages_are_installed_where_there_are_no_tested_ones(checkout: Path) -> None:
    done, stderr, installed = make(checkout, INSTALLED="")
    assert done.returncode == 0
    assert "no tested packages for this platform" in stderr
    assert len(installed) == 2


@pytest.mark.parametrize("variables", [{"TOO_OLD": "1"}, {"RETOUCH_PYTHON": " /no/python\r"}])
def test_an_unusable_python_is_named(checkout: Path, variables: dict[str, str]) -> None:
    done, stderr, installed = make(checkout, **variables)
    assert (done.returncode, installed) == (1, [])
    assert stderr.startswith("Retouch needs Python 3.11 or newer; RETOUCH_PYTHON is /")
    assert stderr.count("\n") == 1
    assert "\r" not in stderr


@pytest.mark.parametrize(
    ("variables", "words", "without"),
    [
        (
            {"HASHED": "1", "PIP_SAYS": "ERROR: [Errno 28] No space left on device\n"},
            ["ERROR: [Errno 28]", "The disk is full. Free now: ", " MiB"],
            "RETOUCH_LOCKED",
        ),
        (
            {"HASHED": "1", "PIP_SAYS": "WARNING: broken by 'NewConnectionError'\n"},
            ["cannot be reached", "https_proxy", "pip config list"],
            "RETOUCH_LOCKED",
        ),
        ({"VENV_SAYS": "ensurepip is not available"}, ["apt install python3-venv"], "full"),
        ({"VENV_SAYS": "path contains the PATH separator"}, ["contains the PATH"], "apt install"),
        ({"VENV_SAYS": "[Errno 28] No space left on device"}, ["disk is full"], "apt install"),
        ({"ELSEWHERE": "1"}, ["did not install into .venv", "pip config list"], "full"),
    ],
)
def test_a_failed_install_names_its_cause(
    variables: dict[str, str], words: list[str], without: str, checkout: Path
) -> None:
    done, stderr, _ = make(checkout, **variables)
    assert done.returncode == 1
    assert all(word in stderr for word in words), stderr
    assert without not in stderr
    assert "Traceback" not in stderr
    assert not (checkout / ".venv" / "made-from").exists()


def test_a_folder_that_cannot_be_written_is_named(checkout: Path) -> None:
    done, stderr, installed = make(checkout, folder="/sys/venv")  # closed even to root
    assert (done.returncode, installed) == (1, [])
    assert stderr.startswith("The environment /sys/venv cannot be made: ")
    assert "in which this user may write" in stderr
    assert stderr.count("\n") == 1


def test_two_installs_at_once_make_the_environment_once(checkout: Path) -> None:
    both = [start(checkout, SECONDS_EACH="1") for _ in range(2)]
    texts = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(installs(checkout)) == 2, "the tested packages, and the program: once"
    assert sum("Another process makes .venv: waiting for it" in text for text in texts) == 1


def test_a_killed_install_neither_blocks_the_next_nor_runs_beside_it(checkout: Path) -> None:
    with start(checkout, SECONDS_EACH="2") as killed:
        while not installs(checkout):
            assert killed.poll() is None
        killed.kill()
    following = start(checkout)
    stderr = following.communicate(timeout=60)[1]
    assert following.returncode == 0
    assert "Another process makes .venv" in stderr, "pip of the killed install still ran"
    assert len(installs(checkout)) == 3


def test_the_callers_settings_of_pip_do_not_reach_it(checkout: Path) -> None:
    fake = checkout / "my python"
    fake.write_text(PYTHON.replace('echo "$*" >>', 'env >>"$CALLS-env"\necho "$*" >>'))
    lost = {"PIP_TARGET": "/x", "PIP_PREFIX": "/x", "PYTHONHOME": "/x", "PYTHONPATH": "/x"}
    kept = {"PIP_INDEX_URL": "https://index.example", "https_proxy": "http://proxy.example:1"}
    wrong = {"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_QUIET": "3"}
    assert make(checkout, **lost, **kept, **wrong)[0].returncode == 0
    seen = set((checkout / "calls-env").read_text().splitlines())
    assert {f"{name}={value}" for name, value in kept.items()} <= seen
    assert {"PIP_USER=0", "PIP_REQUIRE_VIRTUALENV=0"} <= seen
    assert not seen & {f"{name}={value}" for name, value in {**lost, **wrong}.items()}


def test_progress_counts_the_packages_of_this_platform(checkout: Path) -> None:
    lines = [
        "Ignoring colorama: markers 'sys_platform' do not match your environment",
        "Collecting torch==2.9.0 (from -r gpu.txt (line 1))",
        "  Downloading torch-2.9.0-cp311.whl (899.8 MB)",
        "Processing /wheels/numpy-2.0-cp311.whl (from -r gpu.txt (line 2))",
        "Installing collected packages: torch, numpy",
    ]
    requirements = checkout / "deploy" / "requirements" / "lite.txt"
    requirements.write_text("".join(f"{name}==1\n" for name in ("torch", "numpy", "colorama")))
    stderr = make(checkout, PIP_SAYS="\\n".join(lines) + "\\n")[1]
    assert stderr.splitlines() == [
        f"Making the environment .venv with Python {sys.version.partition(' ')[0]} ...",
        "  1 of 2 packages: torch 2.9.0 (899.8 MB)",
        "  installing 2 packages",
        "Made .venv in 0 s.",
    ]
