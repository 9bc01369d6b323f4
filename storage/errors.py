"""Every error of storage/. Each is a built-in error as well, which is named in parentheses.

StorageError
|- StoreUnavailableError       the object store cannot be reached, or denies access (OSError)
|- DatabaseUnavailableError    the database cannot be reached (OSError)
|- ObjectMissingError          no object lies under the key (KeyError)
|- InvalidKeyError             the text is not a key (ValueError)
`- FolderInUseError            another process keeps its data in the folder (RuntimeError)
"""


class StorageError(Exception):
    """What went wrong with bytes or rows at rest."""


class StoreUnavailableError(StorageError, OSError):
    """The store cannot be reached, or denies access, at present."""


class DatabaseUnavailableError(StorageError, OSError):
    """The database cannot be reached at present."""


class ObjectMissingError(StorageError, KeyError):
    """No object lies under the key."""


class InvalidKeyError(StorageError, ValueError):
    """The text is not a key; no store ever holds an object under it."""


class FolderInUseError(StorageError, RuntimeError):
    """Another process keeps its data in this folder."""
