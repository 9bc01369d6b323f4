"""`python -m retouch`: the command `retouch` where it is not installed."""

from retouch import main

if __name__ == "__main__":
    main()
