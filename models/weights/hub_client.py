"""A process that fetches files of a repository with the hub's own client.

It is a process of its own because nothing can interrupt the client's threads: it waits without limit for a hub
that does not answer. Its input is one line of JSON, the arguments of `snapshot_download`. It ends when its
input is closed, so also with the process that started it. If the client fails, it prints the kind and the
text of the error as JSON.
"""

import json
import os
import sys
import threading
from typing import Any


def _end_with_the_input() -> None:
    sys.stdin.read()
    os._exit(2)


def main() -> int:
    """Fetch the files that the input names; return the exit status."""
    arguments: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # the process that waits shows the progress
    try:
        snapshot_download(**arguments)
    except Exception as error:
        # The client passes on the errors of its HTTP library, which can change.
        print(json.dumps({"kind": type(error).__name__, "text": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
