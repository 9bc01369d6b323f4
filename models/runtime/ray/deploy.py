"""The command line of `scripts/deploy-models`: deploys a profile's models on a Ray cluster.

A second run updates the deployment, replica by replica, while calls continue.
"""

import argparse
import sys

from models.errors import InvalidSettingsError, UnknownProfileError
from models.runtime.ray import environment
from models.settings import DeploymentSettings, read_settings, warn_of_unknown_names

environment.prepare()

import ray  # noqa: E402
from ray import serve  # noqa: E402
from ray.exceptions import RayError  # noqa: E402

from models.runtime.ray.deployments import APPLICATION, build  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Deploy the models, or delete them with --delete. Return the exit status.

    0: done. 1: the cluster failed. 2: a setting or the profile is invalid.
    """
    parser = argparse.ArgumentParser(
        prog="deploy-models",
        description="Deploy the models of RETOUCH_PROFILE on a Ray cluster.",
    )
    parser.add_argument(
        "--address",
        help="address of the cluster (RETOUCH_RAY_ADDRESS); auto: the cluster on this machine",
    )
    parser.add_argument("--delete", action="store_true", help="delete the deployed models")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(DeploymentSettings)
    except InvalidSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    warn_of_unknown_names()
    address = options.address or settings.ray_address or "auto"
    try:
        ray.init(address, log_to_driver=False)
    except (ConnectionError, RayError, RuntimeError) as error:
        print(f"deploy: the Ray cluster at {address}: {error}", file=sys.stderr)
        return 1
    try:
        serve.start(proxy_location="Disabled")
        if options.delete:
            serve.delete(APPLICATION)
            return 0
        # No HTTP route: only the server's processes call the models, through handles.
        serve.run(build(settings), name=APPLICATION, route_prefix=None)
    except (UnknownProfileError, ValueError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2
    except (RayError, RuntimeError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
