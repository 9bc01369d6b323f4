"""Every error that models/ raises.

Exception
|- ModelUnavailableError        the model of a role could not be loaded
|  `- RoleNotInProfileError     the profile has no model for the role
|- EngineBusyError              the queue of a role is full: retry later
|- EngineUnavailableError       the cluster, or its deployment for the role, does not answer
|  `- EngineLostError           this process cannot have its engine: another one must be started
|- DeploymentError             the models could not be deployed on a cluster
|- SchedulerClosedError         the device accepts no more work: the process is shutting down
|- WeightsUnavailableError      weights could not be downloaded
|- NothingToCopyError           a hole leaves no pixel to copy texture from
|- MemoryError
|  `- ModelOutOfMemoryError     a model ran out of memory twice, the second time on smaller input
|- WorkCancelledError           nobody waits for the work any more
|  |- CallerDisconnectedError   the caller has disconnected
|  `- DeadlineExceededError     the deadline is over
|- PermissionError
|  `- RemoteCodeError           the weights come with code, which is not allowed to run
|- ImportError
|  `- RayNotInstalledError      the extra `cluster` is missing
`- ValueError
   |- InvalidSettingsError      a setting has an invalid value, or its name is misspelled
   |- UnknownProfileError       the profile does not exist, or it names a role or card that does not
   |- UnknownDeviceError        the device does not exist, there is no GPU, or no torch
   |- UnpinnedCodeError         a card runs its repository's code but names no commit
   |- BadWeightsError           a weight file does not hold what its network needs
   |- BundleError               a file is not a bundle of weights, or it is damaged
   `- ReferenceUnsupportedError the scene model cannot use a reference picture, only a prompt

Any other error that a call raises is the model's own: the same call would raise it again.
"""


class ModelUnavailableError(Exception):
    """The model of a role could not be loaded. The text says why."""


class RoleNotInProfileError(ModelUnavailableError):
    """The profile has no model for a role: no later call can succeed. The text names the role."""


class EngineBusyError(Exception):
    """The queue of a role is full.

    retry_after: seconds after which there is probably room for another call.
    """

    def __init__(self, text: str, retry_after: int) -> None:
        super().__init__(text, retry_after)
        self.text = text
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.text


class EngineUnavailableError(Exception):
    """The engine is unavailable at the moment. The text says why."""


class EngineLostError(EngineUnavailableError):
    """A process cannot have its engine, now or later: another one must be started. The text says why."""


class DeploymentError(Exception):
    """The models could not be deployed on a cluster.

    status: of the process that tells it; 2: a setting is wrong, 1: the cluster failed.
    """

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class WeightsUnavailableError(Exception):
    """A weight file is missing or wrong.

    If every source failed, the text has one line per source.
    """


class NothingToCopyError(Exception):
    """The hole leaves no pixel to copy texture from."""


class ModelOutOfMemoryError(MemoryError):
    """A model ran out of memory twice, the second time at a smaller size or batch.

    It is a MemoryError so that callers need to handle one class only.
    """


class ReferenceUnsupportedError(ValueError):
    """The scene model cannot use a reference picture, only a prompt."""


class WorkCancelledError(Exception):
    """Nobody waits for this work any more."""


class CallerDisconnectedError(WorkCancelledError):
    """The caller has disconnected."""


class DeadlineExceededError(WorkCancelledError):
    """The deadline of the work is over."""


class RemoteCodeError(PermissionError):
    """A repository comes with its own code, and its card does not allow that to run."""


class RayNotInstalledError(ImportError):
    """Ray is not installed."""


class InvalidSettingsError(ValueError):
    """Settings that cannot be used.

    The text has one line per problem. Each begins with `settings:` and names the variable, but no
    value: a value may be secret.
    """


class UnknownProfileError(ValueError):
    """No profile has that name, or the profile names a role or card that does not exist."""


class UnknownDeviceError(ValueError):
    """The device does not exist, there is no GPU for models that need one, or torch is missing for them."""


class UnpinnedCodeError(ValueError):
    """A card runs its repository's code but names no commit of it."""


class BadWeightsError(ValueError):
    """A weight file is missing, damaged or of another model. The text names the file."""


class BundleError(ValueError):
    """A profile cannot be bundled, or a file is not a bundle of weights."""


class SchedulerClosedError(RuntimeError):
    """The device accepts no more work: the process is shutting down."""
