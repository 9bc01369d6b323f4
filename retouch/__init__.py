"""The command `retouch` and the client of the server; importing it imports neither."""


def main() -> None:
    """Run the command `retouch` and exit; see `retouch.command`."""
    from retouch.command import run

    run()
