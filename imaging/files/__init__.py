"""Reads and writes picture files: JPEG, PNG and WebP.

A file is read in two steps. The first is cheap and decides whether to do the second:

1. `header` reads the format, size, alpha, frames, orientation and ICC profile of a file, and finds
   the parts that hold its pixels. It is our own code. Its cost is bounded for every file. It uses `exif`.
2. `decode` passes only those parts to the decoder of the format. It turns the result into a picture:
   upright, sRGB (`icc`; `png_colour` for PNG without a profile), 8 bits per sample.

       PNG    libvips (`libvips` restricts it, `png_decoder` calls it)
       JPEG   simplejpeg; Pillow for files with harmless errors (called by `jpeg_decoder`)
       WebP   OpenCV

`encode` writes files; `png_writer` writes PNG. The reasons are in
docs/decisions/0012-libvips-decodes-png.md.
"""
