"""Every error of models/, for those who call models and those who set them up.

Exception
|- ModelUnavailableError        the profile has no model for the role, or it could not be loaded
|- EngineBusyError              more calls wait for a role than may: come again later
|- EngineUnavailableError       the cluster, or the part of it that has the role, does not answer
|- SchedulerClosedError         the device accepts no work any more: the process ends
|- WeightsUnavailableError      weights could not be fetched
|- NothingToCopyError           a hole leaves no pixel to take texture from
|- MemoryError
|  `- ModelOutOfMemoryError     a model ran out of memory twice, the second time on less
|- WorkCancelledError           nobody waits for the work any more
|  |- CallerDisconnectedError   whoever asked for it has left
|  `- DeadlineExceededError     its time is over
|- PermissionError
|  `- RemoteCodeError           weights bring code of their own, which was not allowed to run
|- ImportError
|  `- RayNotInstalledError      the extra `cluster` is missing
`- ValueError
   |- InvalidSettingsError      settings that cannot be read, or names that are misspelled
   |- UnknownProfileError       no such profile, or one that names what does not exist
   |- UnknownDeviceError        no such device, or torch models without torch
   |- UnpinnedCodeError         a card that runs its repository's code names no commit
   |- BadWeightsError           a file of weights does not hold what its network needs
   |- BundleError               a bundle of weights is not one, or not whole
   `- ReferenceUnsupportedError the scene model reads prompts alone, no reference picture

Anything else that a call raises is the model's own error: the same call would raise it again.
"""


class ModelUnavailableError(Exception):
    """A role's model could not be loaded, or the profile has none; the text says why."""


class EngineBusyError(Exception):
    """As many calls wait for a role as may.

    retry_after: seconds after which a place is likely to be free.
    """

    def __init__(self, text: str, retry_after: int) -> None:
        super().__init__(text, retry_after)
        self.text = text
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.text


class EngineUnavailableError(Exception):
    """The engine is unavailable just now; the text says why."""


class WeightsUnavailableError(Exception):
    """A weight file is missing or wrong; when every source failed, one line for each."""


class NothingToCopyError(Exception):
    """The hole leaves no pixel to take texture from."""


class ModelOutOfMemoryError(MemoryError):
    """A model ran out of memory twice, the second time at a smaller size or batch.

    Raised by what the pool lends; a MemoryError, so that callers meet one kind of shortage.
    """


class ReferenceUnsupportedError(ValueError):
    """The scene model reads prompts alone, no reference picture."""


class WorkCancelledError(Exception):
    """Nobody waits for this work any more."""


class CallerDisconnectedError(WorkCancelledError):
    """Whoever asked for the work has left."""


class DeadlineExceededError(WorkCancelledError):
    """The time that the work was given is over."""


class RemoteCodeError(PermissionError):
    """A repository brings code of its own, and its card does not allow that."""


class RayNotInstalledError(ImportError):
    """Ray is not installed."""


class InvalidSettingsError(ValueError):
    """Settings that cannot be used.

    The text has a line for each fault, which begins with `settings:` and names the variable; no values.
    """


class UnknownProfileError(ValueError):
    """No profile of that name, or one that names a role or card that does not exist."""


class UnknownDeviceError(ValueError):
    """No such device, or torch models without torch."""


class UnpinnedCodeError(ValueError):
    """A card that runs its repository's code names no commit of it."""


class BadWeightsError(ValueError):
    """A weight file is missing, broken or of another model; the message names the file."""


class BundleError(ValueError):
    """A profile cannot be packed, or a file is no package of weights."""


class SchedulerClosedError(RuntimeError):
    """The device accepts no work of this kind any more: the process ends."""
