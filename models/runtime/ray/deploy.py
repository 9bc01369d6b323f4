"""Deploys a profile's models on a Ray cluster, for `retouch deploy-models`, and deletes them.

A second deployment updates the first one, replica by replica, while calls continue.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import DeploymentError, UnknownProfileError
from models.runtime.ray import environment
from models.settings import DeploymentSettings

environment.prepare()

import ray  # noqa: E402
from ray import serve  # noqa: E402
from ray.exceptions import RayError  # noqa: E402

from models.runtime.ray.deployments import APPLICATION, build  # noqa: E402


def deploy(settings: DeploymentSettings, address: str) -> None:
    """Deploy the models of the settings' profile; raises DeploymentError. address: of the cluster."""
    with _connected(address):
        # No HTTP route: only the server's processes call the models, through handles.
        serve.run(build(settings), name=APPLICATION, route_prefix=None)


def delete(_: DeploymentSettings, address: str) -> None:
    """Delete the deployed models; raises DeploymentError. address: of the cluster."""
    with _connected(address):
        serve.delete(APPLICATION)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connect to the cluster, and turn its errors into DeploymentError."""
    try:
        ray.init(address, log_to_driver=False)
    except (ConnectionError, RayError, RuntimeError) as error:
        raise DeploymentError(f"the Ray cluster at {address}: {error}") from error
    try:
        serve.start(proxy_location="Disabled")
        yield
    except (UnknownProfileError, ValueError) as error:
        raise DeploymentError(str(error), status=2) from error
    except (RayError, RuntimeError) as error:
        raise DeploymentError(str(error)) from error
