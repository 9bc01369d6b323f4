"""`retouch deploy-models`: deploy a profile's models on a Ray cluster, or delete them."""

from typing import Annotated

import typer

from models.errors import DeploymentError, InvalidSettingsError
from models.settings import DeploymentSettings, read_settings, warn_of_unknown_names
from retouch.failures import fail

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("deploy-models")
def deploy_models(
    address: Annotated[
        str | None,
        typer.Option(help="The cluster, for RETOUCH_RAY_ADDRESS; auto: the one on this machine."),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the deployed models.")] = False,
) -> None:
    """Deploy the models of RETOUCH_PROFILE; a second run updates them while calls continue.

    Status 1: the cluster failed. 2: a setting or the profile is invalid.
    """
    try:
        settings = read_settings(DeploymentSettings)
    except InvalidSettingsError as error:
        raise fail(str(error), 2) from None
    warn_of_unknown_names()
    try:
        from models.runtime.ray import deploy
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise fail("deploy: Ray is not installed; install retouch[cluster]", 2) from None
    chosen = address or settings.ray_address or "auto"
    run = deploy.delete if delete else deploy.deploy
    try:
        run(settings, chosen)
    except DeploymentError as error:
        raise fail(f"deploy: {error}", error.status) from None
