"""Every error of imaging/.

ImagingError
|- MaskRatioError            the mask and the picture have different aspect ratios
`- PictureError              the bytes are not a usable picture (also a ValueError)
   |- EmptyPictureError      no bytes at all
   |- NotAPictureError       another kind of file
   `- DamagedPictureError    a supported format, but it cannot be decoded
"""


class ImagingError(Exception):
    """A picture or a mask cannot be used."""


class MaskRatioError(ImagingError):
    """The mask and the picture have different aspect ratios."""


class PictureError(ImagingError, ValueError):
    """The bytes are not a usable picture. The message is for the caller."""


class EmptyPictureError(PictureError):
    """The file has no bytes."""

    def __init__(self) -> None:
        super().__init__("The picture is empty.")


class NotAPictureError(PictureError):
    """The file is not in a supported format."""

    def __init__(self) -> None:
        super().__init__("This is not a picture in a supported format: JPEG, PNG and WEBP are.")


class DamagedPictureError(PictureError):
    """The file is truncated or corrupt. format: the format that its first bytes claim."""

    def __init__(self, format: str) -> None:
        super().__init__(f"The {format} file is damaged: it cannot be decoded.")
