"""Strict loading of a model from a local folder in hub layout: no weight may be missing."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.utils.logging import disable_progress_bar

from models.backends.torch.checkpoints import raise_for_problems
from models.backends.torch.loading import LOADING
from models.backends.weight_files import check_file, first_line
from models.device import DeviceConfig
from models.errors import BadWeightsError

# In a log file, a progress bar for each model would hide the messages that matter.
disable_progress_bar()

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def torch_dtype(device_config: DeviceConfig) -> torch.dtype:
    """Return torch's dtype for a device configuration; raises ValueError for an unknown one."""
    if device_config.dtype not in _DTYPES:
        raise ValueError(f"dtype {device_config.dtype!r} is not one of {', '.join(_DTYPES)}")
    return _DTYPES[device_config.dtype]


def load_pretrained(kind: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """Load a model of class `kind` (diffusers or transformers) from the safetensors files in `folder`.

    The model is in evaluation mode and in main memory. options: override its configuration.
    `from_pretrained` itself fills a missing tensor with random numbers and only logs it. Here a
    missing tensor, a tensor of another shape, a truncated file and a Git LFS pointer raise
    BadWeightsError. It names the file or, if there are several, the folder.
    """
    check_file(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        check_file(file)
    source = files[0] if len(files) == 1 else folder
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
        raise BadWeightsError(f"{source} cannot be read: {first_line(error)}") from error
    problems = [f"{name} is missing" for name in report["missing_keys"]]
    problems += [f"{key[0]} has another shape" for key in report["mismatched_keys"]]
    raise_for_problems(problems, source)
    return model.eval()
