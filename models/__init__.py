"""Models: the roles a picture operation needs, and the backends that fill them."""

import os

# From 1.29 on, onnxruntime on Linux tells Microsoft which models run where, and keeps an identifier of
# the machine. It looks for this once, when it is first used.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
