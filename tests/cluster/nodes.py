"""Ray clusters of several nodes on this machine, for tests: a run goes to them by `datapipe run --address`.

`SameHost` starts the nodes of `ray.cluster_utils.Cluster` in a process of their own: quick, no root, a node can be
killed. `Namespaces` gives each node a network namespace of its own, so that its link can be cut: nobody is told, which
is what a lost switch looks like; needs root and iproute2. Both share this machine's disk. Several of either may run at
a time: temporary folders, tokens, ports, bridges and subnets are each cluster's own, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.store import serve

PATIENCE_SECONDS = 180.0  # for anything that ought to come about, on a machine that is busy
POLL_SECONDS = 0.1
STORE_BYTES = 80 << 20
STARTS = 5  # of a node: a machine that is busy misses Ray's own deadlines
TASK = re.compile(r"ray::[^ ]*\[\d+\]")  # Ray's agents and idle workers are called ray:: too, and must live
KEEPALIVE = {"RAY_grpc_client_keepalive_time_ms": "5000", "RAY_grpc_client_keepalive_timeout_ms": "5000"}
RUN = [sys.executable, "-m", "datapipe.cli", "run", "--no-report"]


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Returns once the condition holds. Raises TimeoutError, which says what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {seconds:g} s")
        time.sleep(POLL_SECONDS)


def below(pid: int) -> list[psutil.Process]:
    """Returns the processes that come from a process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def title(process: psutil.Process) -> str:
    """Returns how a process calls itself; nothing where it is gone."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).strip()
    return ""


def busy(pid: int) -> list[psutil.Process]:
    """Returns the workers below a process (a driver with a Ray of its own, or a raylet) that run a task now."""
    return [process for process in below(pid) if TASK.fullmatch(title(process))]


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kills processes and waits until they are gone, or only their parent has not asked how they ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for(lambda: not any(map(is_alive, processes)), "the end of what was killed")


def is_alive(process: psutil.Process) -> bool:
    """Returns whether a process still runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def kill_named(word: str) -> None:
    """Kills every process whose command line or environment names `word`: a temporary folder that is ours alone."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            place = Path(f"/proc/{process.pid}")
            if word.encode() in (place / "cmdline").read_bytes() + (place / "environ").read_bytes():
                found.append(process)
    kill([process for process in found if process.pid != os.getpid()])


@dataclass(frozen=True)
class Node:
    """A node: its name, its raylet's process, and its network namespace where it has one."""

    name: str
    raylet: int
    place: str = ""

    def busy(self) -> list[psutil.Process]:
        """Returns its workers that run a task now."""
        return busy(self.raylet)

    def processes(self) -> list[psutil.Process]:
        """Returns the raylet and all that come from it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [psutil.Process(self.raylet), *below(self.raylet)]
        return []

    def freeze(self) -> None:
        """Stops all its processes where they stand; with its link down that is a machine without power."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def kill(self) -> None:
        """Kills the raylet and everything below it at one moment, as a machine does that loses power."""
        with contextlib.suppress(psutil.NoSuchProcess):
            raylet = psutil.Process(self.raylet)
            raylet.suspend()  # else it starts workers while they are counted
            kill(self.processes())


class Cluster:
    """Nodes under one address. `head` runs no tasks; `workers` have one core each; all reach this machine at `host`."""

    address: str
    host: str
    head: Node
    workers: list[Node]
    store: serve.Store

    def __init__(self, environment: Mapping[str, str]) -> None:
        # Short: Ray puts sockets below it, whose paths may have 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="dpr", dir="/tmp")
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
        inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self.environment = {**inherited, **own, "DATAPIPE_TEST_CLUSTER": self.folder, **environment}
        self.workers = []
        self.made = 0  # nodes in all, those that were lost too

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:  # Any: Popen's own
        """Starts a command where the head is, with the cluster's environment."""
        return subprocess.Popen([*self.entering(self.head), *command], env=self.environment, text=True, **options)

    def entering(self, node: Node) -> list[str]:
        """Returns what stands before a command that shall run where a node is."""
        return ["ip", "netns", "exec", node.place] if node.place else []

    def begin(self) -> None:
        """Starts the head."""
        raise NotImplementedError

    def add(self) -> Node:
        """Starts one more worker node, and returns it when it runs."""
        node = self._node(f"worker{self.made}", cores=1)
        self.workers.append(node)
        return node

    def _node(self, name: str, cores: int) -> Node:
        raise NotImplementedError

    def lose(self, node: Node) -> None:
        """Kills a worker node for good."""
        node.kill()
        self.workers.remove(node)

    def busy(self) -> list[psutil.Process]:
        """Returns the workers of all nodes that run a task now."""
        return [process for node in self.workers for process in node.busy()]

    def close(self) -> None:
        """Ends every process of the cluster, and removes its folder."""
        kill_named(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class SameHost(Cluster):
    """Nodes that share this machine's address, held by a process that ends when its standard input does."""

    host = "127.0.0.1"
    holder: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        command = [sys.executable, "-c", "from tests.cluster.nodes import hold; hold()", self.folder]
        self.holder = subprocess.Popen(
            command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self.head = self._node("head", cores=0)

    def _node(self, name: str, cores: int) -> Node:
        self.made += 1
        assert self.holder is not None
        assert self.holder.stdin is not None
        assert self.holder.stdout is not None
        self.holder.stdin.write(f"{cores}\n")
        self.holder.stdin.flush()
        said = self.holder.stdout.readline()
        assert said, f"{name}: did not start; see {self.folder}"
        answer = json.loads(said)
        self.address = answer["address"]
        return Node(name, answer["raylet"])

    def close(self) -> None:
        if self.holder is not None:
            self.holder.kill()
            self.holder.communicate()
        super().close()


def hold() -> None:
    """Starts a node for each number of cores that comes in, and says its address and raylet; ends with its input."""
    from ray.cluster_utils import Cluster as RayCluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray says more than we want to read
    cluster = RayCluster()
    for line in sys.stdin:
        for left in reversed(range(STARTS)):
            try:
                node = cluster.add_node(
                    num_cpus=int(line),
                    object_store_memory=STORE_BYTES,
                    temp_dir=sys.argv[-1],
                    include_dashboard=False,
                )
            except Exception:  # Ray raises bare Exception, and more, where its processes miss a deadline
                if not left:
                    raise
            else:
                break
        raylet = node.all_processes["raylet"][0].process.pid
        print(json.dumps({"address": cluster.address, "raylet": raylet}), file=answers, flush=True)


class Namespaces(Cluster):
    """Nodes in network namespaces of their own, whose links hang on one bridge of this machine."""

    dashboard = False  # at port 8265 of the head; it takes jobs, and starts many processes

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment)
        self.number = _bridge()
        self.host = f"10.231.{self.number}.1"

    def begin(self) -> None:
        self.head = self._node("head", cores=0)
        self.address = f"{self._ip(0)}:6379"

    def link(self, node: Node, state: str) -> None:
        """Sets the link of a node `up` or `down`; no process hears of it."""
        _ip("link", "set", node.place, state)

    def store_link(self, state: str) -> None:
        """Takes this machine's end of the bridge, where its store is, away (`down`) or brings it back (`up`)."""
        verb = {"down": "del", "up": "add"}[state]
        _ip("address", verb, f"{self.host}/24", "dev", _bridge_name(self.number))

    def _ip(self, number: int) -> str:
        return f"10.231.{self.number}.{number + 2}"

    def _node(self, name: str, cores: int) -> Node:
        number, self.made = self.made, self.made + 1
        place = f"dp{self.number}n{number}"  # of the namespace, and of the link's end on the bridge
        _ip("netns", "add", place)
        _ip("link", "add", place, "type", "veth", "peer", "name", "eth0", "netns", place)
        _ip("link", "set", place, "master", _bridge_name(self.number), "up")
        _ip("-n", place, "link", "set", "lo", "up")
        _ip("-n", place, "address", "add", f"{self._ip(number)}/24", "dev", "eth0")
        _ip("-n", place, "link", "set", "eth0", "up")
        dashboard = [f"--include-dashboard={self.dashboard}", f"--dashboard-host={self._ip(0)}"]
        role = ["--head", "--port=6379", *dashboard] if number == 0 else [f"--address={self.address}"]
        folder = f"{self.folder}/{number}"
        command = [
            *("ip", "netns", "exec", place, str(Path(sys.executable).parent / "ray"), "start", *role),
            *(f"--node-ip-address={self._ip(number)}", f"--num-cpus={cores}", f"--temp-dir={folder}"),
            *(f"--object-store-memory={STORE_BYTES}", "--disable-usage-stats"),
        ]
        for left in reversed(range(STARTS)):
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            assert left, f"{name}: {done.stdout}{done.stderr}"
            kill([psutil.Process(int(pid)) for pid in _ip("netns", "pids", place).split()])
        pids = [int(pid) for pid in _ip("netns", "pids", place).split()]
        raylet = next(pid for pid in pids if title(psutil.Process(pid)).split(" ")[0].endswith("/raylet"))
        return Node(name, raylet, place)

    def close(self) -> None:
        super().close()
        for number in range(self.made):
            place = f"dp{self.number}n{number}"
            for command in (("link", "del", place), ("netns", "del", place)):  # the latter alone takes a minute
                with contextlib.suppress(subprocess.CalledProcessError):
                    _ip(*command)
        _ip("link", "del", _bridge_name(self.number))


def _bridge() -> int:
    """Makes a bridge that no other test has, and returns its number, which is its subnet's too."""
    for number in range(1, 255):
        command = ["ip", "link", "add", _bridge_name(number), "type", "bridge"]
        made = subprocess.run(command, check=False, capture_output=True)
        if made.returncode == 0:
            _ip("address", "add", f"10.231.{number}.1/24", "dev", _bridge_name(number))
            _ip("link", "set", _bridge_name(number), "up")
            return number
    raise RuntimeError("no bridge could be made: are we root, and is iproute2 here?")


def _bridge_name(number: int) -> str:
    return f"dpbridge{number}"


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def three_nodes(kind: type[Cluster], environment: Mapping[str, str], *, stored: bool = False) -> Iterator[Cluster]:
    """Yields a cluster of a head that runs no tasks and two workers of a core each; `stored`: with a store beside it.

    The store stands in the environment of all processes of the cluster, and has one bucket, called `bucket`.
    """
    with contextlib.ExitStack() as held:
        cluster = kind(environment)
        held.callback(cluster.close)
        if stored:
            cluster.store = held.enter_context(serve.start(host=cluster.host))
            cluster.environment.update(cluster.store.environment())
        cluster.begin()
        cluster.add()
        cluster.add()
        yield cluster
