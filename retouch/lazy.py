"""A group of commands whose modules are imported when they are called: the server's take seconds."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "serve": ("retouch.serve", "Run the server."),
    "edit": (
        "retouch.edit.command",
        "Edit pictures and folders of pictures, with a server or without.",
    ),
    "doctor": ("retouch.doctor", "Check whether a server would work here."),
    "weights": ("retouch.weights", "List, fetch, verify and bundle model weights."),
    "tokens": ("retouch.tokens", "Create, list and revoke the tokens of organisations."),
    "db": ("retouch.database", "Show and migrate the schema of the database."),
    "openapi": ("retouch.openapi", "Print the OpenAPI document."),
    "smoke": ("retouch.smoke", "Call every route of a running server and save the results."),
    "parity": (
        "retouch.parity.command",
        "Send the same pictures to two servers and compare what they answer.",
    ),
    "bundle": (
        "retouch.bundle",
        "Put all that a machine without a network needs into one file.",
    ),
    "deploy-models": ("retouch.deploy_models", "Deploy the models on a Ray cluster."),
}
"""By name: the module whose `app` is the command, and its line in the list of commands."""


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`, in their order."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
