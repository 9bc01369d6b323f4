"""The GPU benchmark: what `scripts/benchmark_gpu` runs."""
