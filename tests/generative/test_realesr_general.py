"""realesr-general-x4v3 without torch gives what torch and the published architecture give."""

from pathlib import Path

import numpy as np
import torch
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

from models.backends.onnx.realesr_general import RealEsrGeneral
from models.backends.torch_file import read_tensors


def test_the_published_architecture_gives_the_same_pixels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_feat=64, num_conv=32, upscale=4, act_type="prelu").eval()
    file = tmp_path / "net.pth"
    torch.save({"params": network.state_dict()}, file)
    state = read_tensors(file)
    assert state.keys() == network.state_dict().keys()
    assert all(np.array_equal(state[name], value) for name, value in network.state_dict().items())
    picture = np.random.default_rng(0).random((1, 3, 20, 30), dtype=np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(picture)).numpy()
    model = RealEsrGeneral([file, file])
    assert np.allclose(model._network.output({"picture": picture}, wanted.shape), wanted, atol=1e-4)
