"""Every error of pipelines/: a sound request that this picture, or this visual, cannot serve.

PipelineError
|- NoForegroundError     the picture has no subject to work on
|- CropTooLargeError     the crop with its padding would have too many pixels
|- OutsideCanvasError    the picture's place lies wholly outside the canvas
|- CanvasTooLongError    a side of the picture is longer than a PSD file can hold
|- NoSuchMaskError       a mask's id is not in the panoptic map
`- BadActionError        a person does not offer an action, or not with this value

Errors of imaging/ and models/ pass through pipelines unchanged.
"""


class PipelineError(Exception):
    """A request that its picture cannot serve; the text, where there is one, is for the caller."""


class NoForegroundError(PipelineError):
    """The picture has no subject to work on."""


class CropTooLargeError(PipelineError):
    """The crop with its padding would exceed the largest area of a result."""


class OutsideCanvasError(PipelineError):
    """The picture's place lies wholly outside the canvas."""


class CanvasTooLongError(PipelineError):
    """A side of the picture is longer than a PSD file can hold."""


class NoSuchMaskError(PipelineError):
    """A mask's id is not in the panoptic map; the text names it."""


class BadActionError(PipelineError):
    """An action that a person does not offer or a value it does not take; the text says which."""
