"""The command line of `scripts/deploy-models`: puts a profile's models on a Ray cluster and returns.

Called again it changes what is deployed, replica by replica, while calls go on.
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
    """Deploy, or with --delete take down; 0 when it is done, 1 when the cluster fails, 2 for misuse.

    Misuse: settings that cannot be read, or a profile that there is not.
    """
    parser = argparse.ArgumentParser(
        prog="deploy-models",
        description="Deploy the models of RETOUCH_PROFILE on a Ray cluster.",
    )
    parser.add_argument(
        "--address",
        help="of the cluster (RETOUCH_RAY_ADDRESS); auto: the one that runs on this machine",
    )
    parser.add_argument("--delete", action="store_true", help="take the models down")
    chosen = parser.parse_args(arguments)
    try:
        settings = read_settings(DeploymentSettings)
    except InvalidSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    warn_of_unknown_names()
    address = chosen.address or settings.ray_address or "auto"
    try:
        ray.init(address, log_to_driver=False)
    except (ConnectionError, RayError, RuntimeError) as error:
        print(f"deploy: the Ray cluster at {address}: {error}", file=sys.stderr)
        return 1
    try:
        serve.start(proxy_location="Disabled")
        if chosen.delete:
            serve.delete(APPLICATION)
            return 0
        # No route: pictures come from the server's processes alone, through handles.
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
