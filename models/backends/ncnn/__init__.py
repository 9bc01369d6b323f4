"""Backends on ncnn."""
