"""The lower bound: decodes a photograph, resizes it and runs the network by onnxruntime, nothing else.

Runs as a separate process: `python -m scripts.benchmarking.bare WEIGHTS COUNT PHOTOGRAPH...` prints one line
of JSON for each photograph: `[processor seconds, elapsed seconds]` of one run.
"""

import json
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import simplejpeg  # type: ignore[import-untyped]

_SIDE = 320
_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_STD = np.array((0.229, 0.224, 0.225), np.float32)


def main() -> int:
    """Run each photograph COUNT times on one thread, after one run that is not counted."""
    cv2.setNumThreads(1)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    count = int(sys.argv[2])
    for file in sys.argv[3:]:
        data = Path(file).read_bytes()
        _infer(session, data)
        cpu, start = _cpu_s(), time.perf_counter()
        for _ in range(count):
            _infer(session, data)
        print(json.dumps([(_cpu_s() - cpu) / count, (time.perf_counter() - start) / count]))
    return 0


def _infer(session: ort.InferenceSession, data: bytes) -> None:
    rgb = simplejpeg.decode_jpeg(data, "RGB")
    small = cv2.resize(rgb, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    tensor = (small.astype(np.float32) / 255 - _MEAN) / _STD
    name = session.get_inputs()[0].name
    session.run(
        [session.get_outputs()[0].name],
        {name: np.ascontiguousarray(tensor.transpose(2, 0, 1)[None])},
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
