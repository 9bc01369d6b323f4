"""Files of pictures: reads and writes JPEG, PNG and WebP.

A file is read in two steps, because the first decides whether the second is worth its cost:

1. `header` says what a file is (format, size, alpha, frames, orientation, ICC profile) and which of
   its parts make the pixels. It is our own code, bounded whatever a file claims; `exif` belongs to it.
2. `decode` hands those parts alone to one decoder for each format, and makes the result a picture:
   upright, sRGB (`icc`), 8 bits a sample.

       PNG    libvips (`libvips` limits what it may do, `png_decoder` uses it)
       JPEG   simplejpeg; Pillow for inks and for harmless oddities
       WebP   OpenCV

`encode` writes, PNG with `png_writer`. Why this division: docs/decisions/0012-libvips-decodes-png.md.
"""
