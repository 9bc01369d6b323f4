"""Files of pictures: reading headers and pixels of JPEG, PNG and WebP, and writing them."""
