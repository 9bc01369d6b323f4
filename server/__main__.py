"""Start the server: settings from the environment, weights on disk, uvicorn in the foreground."""

import logging
import signal
import sys

import cv2
import uvicorn
from pydantic import ValidationError

from models.hosting import UnknownDevice
from models.pool import Pool
from models.profile import UnknownProfile
from models.weights import WeightsUnavailable
from server.app import create_app
from server.connection import PatientConnection
from server.settings import Settings


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; 2 when the settings are wrong, 1 when weights are missing."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = "RETOUCH_" + "_".join(map(str, fault["loc"])).upper() if fault["loc"] else ""
            print(f"settings: {name} {fault['msg']}".replace("  ", " "), file=sys.stderr)
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Requests run side by side, one thread each; a pool of threads inside each would only contend.
    cv2.setNumThreads(1)
    try:
        weights_dir = settings.data_dir / "weights"
        models = Pool.for_profile(
            settings.profile,
            weights_dir,
            threads=settings.workers,
            models_dir=settings.models_dir,
            device=settings.device,
            dtype=settings.dtype,
            offload=settings.offload,
            memory_mb=settings.memory_mb,
            preload=settings.preload,
        )
        app = create_app(settings, models)
    except OSError as error:
        print(f"settings: RETOUCH_DATA_DIR {settings.data_dir}: {error}", file=sys.stderr)
        return 2
    except (UnknownProfile, WeightsUnavailable) as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    except UnknownDevice as error:
        print(f"settings: RETOUCH_DEVICE {error}", file=sys.stderr)
        return 2
    # Once all is done, uvicorn raises the signal that ended it anew: here it is an ordinary end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=PatientConnection,
        ws="none",
        log_level=settings.log_level,
        log_config=None,
        server_header=False,
        access_log=settings.log_level == "debug",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
