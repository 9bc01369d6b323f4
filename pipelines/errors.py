"""Every error of pipelines/: a request is valid, but it cannot be done with this picture or visual.

PipelineError
|- NoForegroundError     the picture has no subject
|- CropTooLargeError     the crop with its padding would have too many pixels
|- CanvasTooLargeError   the picture with its shadow would have too many pixels
|- OutsideCanvasError    the picture is completely outside the canvas
|- PaddingTooLargeError  the product with its padding would have too many pixels
|- TransparentEdgeError  an edge of the picture has fully transparent pixels, so it cannot be expanded
|- NothingVisibleError   every pixel of the picture is fully transparent
|- CanvasTooLongError    a side of the picture is longer than a PSD file can hold
|- BadInstructionError   a structured instruction is no JSON object, or says nothing
|- NoDescriptionError    a model found no words for a picture
|- NoSuchMaskError       a mask's id is not in the panoptic map
`- BadActionError        a person does not support an action, or not this value of it

Errors of imaging/ and models/ pass through pipelines unchanged.
"""


class PipelineError(Exception):
    """A request that cannot be done with its picture. A message, if there is one, is for the caller."""


class NoForegroundError(PipelineError):
    """The picture has no subject."""


class CropTooLargeError(PipelineError):
    """The crop with its padding would exceed the largest area of a result."""


class CanvasTooLargeError(PipelineError):
    """The picture with its shadow would exceed the largest area of a result."""


class OutsideCanvasError(PipelineError):
    """The picture is completely outside the canvas."""


class PaddingTooLargeError(PipelineError):
    """The product with its padding would exceed the largest area of a canvas. The message says by what."""


class TransparentEdgeError(PipelineError):
    """An edge of the picture has fully transparent pixels, so it cannot be expanded. Says which edge."""


class NothingVisibleError(PipelineError):
    """Every pixel of the picture is fully transparent."""


class CanvasTooLongError(PipelineError):
    """A side of the picture is longer than a PSD file can hold."""


class BadInstructionError(PipelineError):
    """A structured instruction that is no JSON object or says nothing. The message says which."""


class NoDescriptionError(PipelineError):
    """A model found no words for a picture that nothing else describes."""


class NoSuchMaskError(PipelineError):
    """A mask's id is not in the panoptic map. The message names it."""


class BadActionError(PipelineError):
    """An action that a person does not support, or an invalid value. The message says which."""
