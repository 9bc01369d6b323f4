"""Settings of all torch tests: one thread, and not the user's cache."""

import atexit
import os
import shutil
import tempfile

_CACHE = tempfile.mkdtemp(prefix="retouch-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["HF_HOME"] = _CACHE  # read when the hub's client is first imported

import torch  # noqa: E402

torch.set_num_threads(1)
