"""Torch files read without torch: the tensors are right, and nothing in a file is run."""

import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.backends.torch_file import read_tensors
from models.errors import BadWeightsError
from tests.helpers.torch_files import save


@pytest.mark.parametrize("key", [None, "params", "params_ema"])
def test_tensors_are_read(tmp_path: Path, key: str | None) -> None:
    state = {
        "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "b": np.array([0.5, -2], np.float16),
    }
    read = read_tensors(save(tmp_path / "net.pth", state if key is None else {key: state}))
    assert read.keys() == state.keys()
    assert all(tensor.dtype == np.float32 for tensor in read.values())
    assert all(np.array_equal(read[name], state[name]) for name in state)


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def archive(file: Path, content: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("net/data.pkl", content)
    return file


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = archive(tmp_path / "net.pth", pickle.dumps({"params": Runs(marker)}))
    with pytest.raises(BadWeightsError, match=r"net\.pth cannot be read: it refers to \w+\.system"):
        read_tensors(file)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "numpy.load"])
def test_any_other_reference_is_refused(tmp_path: Path, name: str) -> None:
    module, _, member = name.rpartition(".")
    file = archive(tmp_path / "net.pth", f"c{module}\n{member}\n.".encode())
    with pytest.raises(BadWeightsError, match=f"refers to {name}, which is no tensor"):
        read_tensors(file)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "net.pth", {"a": np.zeros((4, 4), np.float32)})
    with zipfile.ZipFile(file) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(file, "w") as short:
        for name, content in members.items():
            short.writestr(name, content[:-4] if "/data/" in name else content)
    with pytest.raises(BadWeightsError, match="beyond its storage"):
        read_tensors(file)


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_an_invalid_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "net.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadWeightsError, match=r"net\.pth cannot be read"):
        read_tensors(file)


@pytest.mark.parametrize("content", [b"\x80", b"}.", b"(dp0\nVa\nI1\ns.", b"\x80\x02]."])
def test_a_file_without_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    if content == b"}.":
        assert read_tensors(archive(tmp_path / "net.pth", content)) == {}
        return
    with pytest.raises(BadWeightsError, match=r"net\.pth"):
        read_tensors(archive(tmp_path / "net.pth", content))


@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x0f", b"p268435455\n"])
def test_a_huge_memo_index_is_refused_before_memory_is_taken(tmp_path: Path, put: bytes) -> None:
    file = archive(tmp_path / "net.pth", b"}" + put + b".")
    tracemalloc.start()
    with pytest.raises(BadWeightsError, match="its memo has an index of 268435455"):
        read_tensors(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_a_storage_behind_many_references_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    original = zipfile.ZipFile.read

    def counted(self: zipfile.ZipFile, name: Any, pwd: bytes | None = None) -> bytes:
        read.append(str(name))
        return original(self, name, pwd)

    file = save(tmp_path / "net.pth", {"a": np.zeros(4, np.float32)})
    with zipfile.ZipFile(file) as made:
        (key,) = (name.rpartition("/")[2] for name in made.namelist() if "/data/" in name)
        folder = made.namelist()[0].partition("/")[0]
        content = {name: made.read(name) for name in made.namelist()}
    parts = [b"X\x07\0\0\0storage", b"ctorch\nFloatStorage\n"]
    parts += [b"X" + len(text).to_bytes(4, "little") + text for text in (key.encode(), b"cpu")]
    reference = b"(" + b"".join(parts) + b"K\x04tQ0"
    content[f"{folder}/data.pkl"] = b"\x80\x02" + 50 * reference + b"}."
    with zipfile.ZipFile(file, "w") as made:
        for name, data in content.items():
            made.writestr(name, data)
    monkeypatch.setattr(zipfile.ZipFile, "read", counted)
    assert read_tensors(file) == {}
    assert sum("/data/" in name for name in read) == 1
