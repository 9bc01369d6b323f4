"""The benchmark: this server beside rembg's, IOPaint's and bare onnxruntime, by turns, on one machine."""
