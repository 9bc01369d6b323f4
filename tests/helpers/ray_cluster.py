"""A Ray cluster of several nodes on this machine, with the models deployed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ray.cluster_utils import Cluster as Nodes

from models.catalog.profile import load_profile
from models.runtime.ray.cluster import ClusterEngine
from tests.helpers.places import ROOT

QUEUE = 6


class Cluster:
    """A cluster whose nodes are separate processes, as on several machines."""

    def __init__(self, profile: Path, weights_dir: Path) -> None:
        self.profile = str(profile)
        self._data = str(weights_dir.absolute().parent)
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 200 * 2**20}
        self._nodes = Nodes(initialize_head=True, head_node_args=head)
        self.address: str = self._nodes.address
        self._others = [self._add() for _ in range(2)]

    def _add(self) -> object:
        return self._nodes.add_node(num_cpus=2, object_store_memory=200 * 2**20)

    def deploy(self, *arguments: str, profile: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command that deploys the models."""
        settings = {
            "RETOUCH_PROFILE": profile or self.profile,
            "RETOUCH_DATA_DIR": self._data,
            "RETOUCH_MAX_WAITING": str(QUEUE),
        }
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "retouch",
                "deploy-models",
                "--address",
                self.address,
                *arguments,
            ],
            cwd=ROOT,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def engine(self) -> ClusterEngine:
        """Return an engine on the cluster, not started yet."""
        return ClusterEngine(self.address, load_profile(self.profile), QUEUE)

    def lose_a_node(self) -> None:
        """Kill a node without a shutdown, as a power cut does, and add another."""
        self._nodes.remove_node(self._others.pop(0), allow_graceful=False)
        self._others.append(self._add())

    def kill_replica(self, role: str) -> None:
        """Kill the process of one replica of a role."""
        os.kill(self.replicas(role)[0], signal.SIGKILL)

    def replicas(self, role: str) -> list[int]:
        """Return the process ids of a role's replicas."""
        name = f"ray::ServeReplica:retouch:{role}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if name in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in the meantime
        return found

    def close(self) -> None:
        """Stop every node."""
        self._nodes.shutdown()  # type: ignore[no-untyped-call]
