"""An S3 server on this machine behind a proxy that makes faults, for every test that wants a store.

    store = serve.start(seed=7, rates={"503": 0.05, "cut_after": 0.02}, buckets=("bucket",))
    store.endpoint            "http://127.0.0.1:41234": the proxy, what AWS_ENDPOINT_URL is to be
    store.direct              the server itself, without faults, to look at what was stored
    store.environment()       {"AWS_ENDPOINT_URL": ..., "AWS_ACCESS_KEY_ID": ..., ...} for workers, monkeypatch.setenv
    store.make_bucket("out")
    store.put_public("bucket", "a.txt", b"...")     an object that whoever does not sign may read
    store.set_faults({"late": 0.1}, seed=8, late_seconds=5.0)     rates from now on; {} ends them
    store.next_faults(["cut_after", "ok", "503"], method="PUT", contains="a.json")     these requests meet exactly these
    store.counts()            {"requests": 90, "PUT": 20, "503": 4, "signed": 90, "most_in_flight": 8, ...} since reset
    store.requests()          [["PUT", "/bucket/a.json?uploads", "cut_after"], ...]: the last 10,000
    store.cut_all()           cuts every connection that is open now; returns how many
    store.reset()             no faults, no counts (what is stored stays)
    store.stop()              ends both processes; `with serve.start() as store:` does it too

Rates are by request: at most one fault meets one, drawn by a generator seeded with `seed`. Faults: see proxy.py.
A store that is down is set_faults({"cut_before": 1.0}) and cut_all(). `host` may be an address of another network
namespace's link: both processes listen there. Both end when the process that started them does.

It is moto's S3 in a process of its own. Moto looks whether a key is there and puts it in two steps, so that two
racing conditional puts could both win; here one request that writes runs at a time, which makes them as atomic as S3's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

SECRET = "not/a+real=secret"
NONE: Mapping[str, float] = {}


class Store:
    """A running server and its proxy."""

    def __init__(self, host: str) -> None:
        self._lock = threading.Lock()
        self._server = _launch("server", host)
        self.direct = f"http://{host}:{json.loads(_line(self._server))}"
        self._proxy = _launch("proxy", host, self.direct.rpartition(":")[2])
        self.endpoint = f"http://{host}:{json.loads(_line(self._proxy))}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self, name: str) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.direct}/{name}", method="PUT"), timeout=60).close()

    def put_public(self, bucket: str, key: str, content: bytes) -> None:
        headers = {"x-amz-acl": "public-read", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.direct}/{bucket}/{key}", content, headers, method="PUT")
        urllib.request.urlopen(request, timeout=60).close()

    def set_faults(
        self,
        rates: Mapping[str, float],
        seed: int = 0,
        *,
        latency_seconds: float = 0.05,
        late_seconds: float = 5.0,
    ) -> None:
        self._ask("set_faults", dict(rates), seed, latency_seconds, late_seconds)

    def next_faults(self, faults: Iterable[str], method: str = "", contains: str = "") -> None:
        self._ask("next_faults", list(faults), method, contains)

    def counts(self) -> dict[str, int]:
        return dict(self._ask("counts"))

    def requests(self) -> list[list[str]]:
        return list(self._ask("requests"))

    def cut_all(self) -> int:
        return int(self._ask("cut_all"))

    def reset(self) -> None:
        self._ask("reset")

    def stop(self) -> None:
        for process in (self._proxy, self._server):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _ask(self, call: str, *arguments: object) -> Any:  # Any: what JSON holds
        with self._lock:
            assert self._proxy.stdin is not None
            self._proxy.stdin.write(json.dumps([call, *arguments]) + "\n")
            self._proxy.stdin.flush()
            return json.loads(_line(self._proxy))


def start(
    seed: int = 0,
    rates: Mapping[str, float] = NONE,
    *,
    host: str = "127.0.0.1",
    buckets: Sequence[str] = ("bucket",),
) -> Store:
    """Starts a server with empty buckets, and its proxy."""
    store = Store(host)
    for bucket in buckets:
        store.make_bucket(bucket)
    store.set_faults(rates, seed)
    return store


def _launch(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the store's process ended: what it said stands above"
    return line


def _serve_moto(host: str) -> None:
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = DomainDispatcherApplication(create_backend_app)
    writing = threading.Lock()

    def one_write_at_a_time(environ: Any, start_response: Any) -> Any:  # Any: what WSGI hands on
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return moto(environ, start_response)
        with writing:
            return moto(environ, start_response)

    server = make_server(host, 0, one_write_at_a_time, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()  # ends with the process that started this one


if __name__ == "__main__":
    if sys.argv[1] == "server":
        _serve_moto(sys.argv[2])
    else:
        import proxy

        proxy.serve(sys.argv[2], int(sys.argv[3]))
