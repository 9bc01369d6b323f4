"""What tests on torch share: one thread each, as processors are few."""

import torch

torch.set_num_threads(1)
