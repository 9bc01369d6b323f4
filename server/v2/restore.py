"""POST /v2/image/edit/restore: restore an old or damaged photograph."""

from pipelines.instructions import instruction
from server.v2.named_edit import named_edit
from server.v2.words import WordsBody


class RestoreBody(WordsBody):
    """The fields of restore."""


OPERATION = named_edit(
    "restore", "Restore an old photograph", RestoreBody, lambda body: instruction("restore")
)
