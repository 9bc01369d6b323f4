"""Backends on onnxruntime."""
