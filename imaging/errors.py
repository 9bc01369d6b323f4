"""Every error of imaging/.

ImagingError
|- MaskRatioError            the mask and the picture have different aspect ratios
|- NothingMarkedError        no pixel of the mask is to be edited
|- UnclearMaskError          the mask is a picture with transparent parts
`- PictureError              the bytes are not a usable picture (also a ValueError)
   |- EmptyPictureError      no bytes at all
   |- NotAPictureError       another kind of file
   `- DamagedPictureError    a supported format, but it cannot be decoded
"""


class ImagingError(Exception):
    """A picture or a mask cannot be used."""


class MaskRatioError(ImagingError):
    """The mask and the picture have different aspect ratios."""


_HOW_MASKS_ARE_READ = (
    "White is edited and black is kept: the limit is 127 of 255, or between the two levels of a mask that"
    " has only two. Brush strokes on a transparent canvas are edited, whatever their colour"
)


class NothingMarkedError(ImagingError):
    """No pixel of the mask is to be edited. reason: what was found instead; the message is for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The mask marks nothing: {reason}. {_HOW_MASKS_ARE_READ}.")


class UnclearMaskError(ImagingError):
    """The mask is a picture with transparent parts. The message is for the caller."""

    def __init__(self) -> None:
        super().__init__(
            "The mask is a picture with transparent parts, so it is unclear what is to be edited."
            f" {_HOW_MASKS_ARE_READ}; a transparent hole in a picture (OpenAI's form) is not a mask here."
        )


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
