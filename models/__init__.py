"""Models: the roles that picture operations need, and the backends that implement them."""

import os

# Since version 1.29, onnxruntime on Linux sends telemetry to Microsoft: which models run, and an
# identifier of the machine. It reads this variable once, at its first use.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
