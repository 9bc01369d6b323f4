"""The benchmark: this server, rembg's, IOPaint's and plain onnxruntime in turns on one machine."""
