"""The field of v1 that says whether a result keeps the alpha channel of its input."""

from pydantic import Field

from server.operation import EditBody


class AlphaBody(EditBody):
    """The fields of the routes whose results may have the alpha channel of their input."""

    preserve_alpha: bool | None = Field(
        None,
        description="false: the result is opaque, laid over white. A cut-out keeps its own edge, but nothing"
        " of it is partly transparent because the input was. Without an alpha channel it has no effect.",
    )
