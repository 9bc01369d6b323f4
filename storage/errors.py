"""Every error of storage/. Each is also the built-in error in parentheses.

StorageError
|- StoreUnavailableError       the object store cannot be reached, or denies access (OSError)
|  |- StoreSilentError         it cannot be reached, or does not answer in time (OSError)
|  `- DiskFullError            the disk has only its reserve left
|- DatabaseUnavailableError    the database cannot be reached (OSError)
|- ObjectMissingError          the store has no object under the key (KeyError)
|- InvalidKeyError             the text is not a key (ValueError)
|- FolderInUseError            another process uses the data folder (RuntimeError)
|- NameTakenError              another token of the organisation has the name (ValueError)
`- NewerSchemaError            a newer version of Retouch has migrated the database (RuntimeError)
"""


class StorageError(Exception):
    """An error of the object store or the database."""


class StoreUnavailableError(StorageError, OSError):
    """The store cannot be reached at the moment, or it denies access."""


class StoreSilentError(StoreUnavailableError):
    """The store cannot be reached, or it does not answer in time."""


class DiskFullError(StoreUnavailableError):
    """The disk has only its reserve left, which is for removals and for work that was accepted before."""


class DatabaseUnavailableError(StorageError, OSError):
    """The database cannot be reached at the moment."""


class ObjectMissingError(StorageError, KeyError):
    """The store has no object under the key."""


class InvalidKeyError(StorageError, ValueError):
    """The text is not a valid key: no store can have an object under it."""


class NewerSchemaError(StorageError, RuntimeError):
    """A newer version of Retouch has migrated the database. The text names both versions."""


class FolderInUseError(StorageError, RuntimeError):
    """Another process uses this data folder."""


class NameTakenError(StorageError, ValueError):
    """Another token of the organisation has this name, and is not revoked."""
