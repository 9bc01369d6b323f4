"""Every error of imaging/.

ImagingError
|- MaskRatioError            the mask's aspect ratio is not the picture's
`- PictureError              the bytes are no picture that can be worked on (a ValueError as well)
   |- EmptyPictureError      no bytes at all
   |- NotAPictureError       another kind of file
   `- DamagedPictureError    begins like a picture, cannot be decoded as one
"""


class ImagingError(Exception):
    """What pictures and masks may be refused for."""


class MaskRatioError(ImagingError):
    """The mask's aspect ratio is not the picture's."""


class PictureError(ImagingError, ValueError):
    """The bytes are not a picture that can be worked on; the message is meant for the caller."""


class EmptyPictureError(PictureError):
    """There are no bytes."""

    def __init__(self) -> None:
        super().__init__("The picture is empty.")


class NotAPictureError(PictureError):
    """The bytes are of another kind."""

    def __init__(self) -> None:
        super().__init__("This is not a picture in a supported format: JPEG, PNG and WEBP are.")


class DamagedPictureError(PictureError):
    """The file is cut short or garbled; `format` is the one that it claims to be."""

    def __init__(self, format: str) -> None:
        super().__init__(f"The {format} file is damaged: it cannot be decoded.")
