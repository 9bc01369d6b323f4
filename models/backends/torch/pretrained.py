"""Loading one model of a local folder in Hugging Face layout, strictly: no weight is made up."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.utils.logging import disable_progress_bar

from models.backends.torch.checkpoints import check_file, first_line, refuse
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig
from models.errors import BadWeightsError

# A bar for each model, redrawn in a log that nobody watches, would bury what matters there.
disable_progress_bar()

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def torch_dtype(device_config: DeviceConfig) -> torch.dtype:
    """Return a device configuration's dtype as torch's; raises ValueError for any but the three it may be."""
    if device_config.dtype not in _DTYPES:
        raise ValueError(f"dtype {device_config.dtype!r} is not one of {', '.join(_DTYPES)}")
    return _DTYPES[device_config.dtype]


def load_pretrained(kind: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """Build a model of class `kind` (diffusers or transformers) from the safetensors in `folder`.

    The model comes in evaluation mode, in main memory. `options` override its configuration.
    `from_pretrained` fills a missing tensor with random numbers and only logs it; here that, a tensor
    of another shape, a truncated file and a Git LFS pointer are each a BadWeightsError naming the file or,
    where there are several, the folder.
    """
    check_file(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        check_file(file)
    where = files[0] if len(files) == 1 else folder
    try:
        with LOADING:
            model, report = kind.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=dtype,
                output_loading_info=True,
                **options,
            )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise BadWeightsError(f"{where} cannot be read: {first_line(error)}") from error
    faults = [f"{name} is missing" for name in report["missing_keys"]]
    faults += [f"{fault[0]} is of another shape" for fault in report["mismatched_keys"]]
    refuse(faults, where)
    return model.eval()
