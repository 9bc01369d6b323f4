"""`python -m server.cli`: the command `retouch` where it is not installed."""

from server.cli import main

if __name__ == "__main__":
    main()
