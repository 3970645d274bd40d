"""A proxy in front of an S3 server that makes the faults of networks and stores, by rate and seed or by script.

    latency      the answer is right, and `latency_seconds` later
    500, 503, 429, 409, 403, expired   an error (503 is SlowDown, expired a 400 ExpiredToken); the server was not asked
    500_after    the server has done it; the answer is an error all the same
    cut_before   the connection is cut before the server hears of the request
    cut_body     the connection is cut in the middle of the answer's body (of its head, where it has no body)
    cut_after    the server has done it; the connection is cut before the answer: the put of which nobody knows
    late         the server has done it at once; the answer comes after `late_seconds`: a client may have gone by then
    stall        the server is not asked, and no answer ever comes; the connection stays open
    ignores      the server is asked without the `If-None-Match` of the request, as by a store that does not know it
    ok           none: for scripts

What it does not model: a listing that lags behind puts (S3 has had none since 2020, others may), throttling by prefix
or by rate (503s here are independent of what was asked), redirects to another region, DNS, TLS, clocks that differ,
parts of a multipart upload that get lost or rot, bytes flipped on the way, an error in the body of a 200, a slow
trickle of bytes, and a server that forgets what it has acknowledged.

Requests and answers are held whole in memory. Connections stay open between requests, as S3's do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import sys
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

ERRORS = {
    "409": ("409 Conflict", "ConditionalRequestConflict"),
    "429": ("429 Too Many Requests", "TooManyRequests"),
    "403": ("403 Forbidden", "AccessDenied"),
    "expired": ("400 Bad Request", "ExpiredToken"),
    "500": ("500 Internal Server Error", "InternalError"),
    "500_after": ("500 Internal Server Error", "InternalError"),
    "503": ("503 Service Unavailable", "SlowDown"),
}
FAULTS = frozenset({*ERRORS, "latency", "cut_before", "cut_body", "cut_after", "late", "stall", "ignores", "ok"})


class Proxy:
    """Connections from clients, and what is to happen to their requests."""

    def __init__(self, host: str, upstream: int) -> None:
        self.host = host
        self.upstream = upstream
        self.writers: set[asyncio.StreamWriter] = set()
        self.latency_seconds, self.late_seconds = 0.05, 5.0
        self.reset()

    def reset(self) -> None:
        self.counted: Counter[str] = Counter()
        self.seen: deque[list[str]] = deque(maxlen=10_000)
        self.scripts: list[tuple[deque[str], str, str]] = []
        self.set_faults({}, 0, 0.05, 5.0)

    def set_faults(self, rates: dict[str, float], seed: int, latency_seconds: float, late_seconds: float) -> None:
        assert set(rates) <= FAULTS, f"{rates}: faults are {sorted(FAULTS)}"
        assert sum(rates.values()) <= 1.0, f"{rates}: more than one fault a request"
        self.rates, self.random = rates, random.Random(seed)
        self.latency_seconds, self.late_seconds = latency_seconds, late_seconds

    def next_faults(self, faults: list[str], method: str, contains: str) -> None:
        assert set(faults) <= FAULTS, f"{faults}: faults are {sorted(FAULTS)}"
        self.scripts.append((deque(faults), method, contains))

    def counts(self) -> dict[str, int]:
        return dict(self.counted)

    def requests(self) -> list[list[str]]:
        return list(self.seen)

    def cut_all(self) -> int:
        cut = list(self.writers)
        for writer in cut:
            writer.transport.abort()
        return len(cut)

    def choose(self, method: str, target: str) -> str:
        for faults, of_method, contains in self.scripts:
            if faults and of_method in ("", method) and contains in target:
                return faults.popleft()
        drawn = self.random.random()
        for fault, rate in self.rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return "ok"

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection, one after the other."""
        self.writers.add(writer)
        try:
            while await self.answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client, or the server, has gone
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if fields.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(fields.get("content-length") or 0))
        fault = self.choose(method, target)
        self.seen.append([method, target, fault])
        self.counted.update(("requests", method, fault, "signed" if "authorization" in fields else "unsigned"))

        if fault == "stall":
            await asyncio.sleep(3600)
        if fault in ("cut_before", "stall"):
            return False
        if fault == "latency":
            await asyncio.sleep(self.latency_seconds)
        if fault in ERRORS and fault != "500_after":
            reply = error(fault)
        else:
            self.counted["in_flight"] += 1
            self.counted["most_in_flight"] = max(self.counted["most_in_flight"], self.counted["in_flight"])
            try:
                dropped = ("connection:", "expect:", *(["if-none-match:"] if fault == "ignores" else []))
                reply = await self.forward([line for line in lines if not line.lower().startswith(dropped)], body)
            finally:
                self.counted["in_flight"] -= 1
        if fault == "500_after":
            reply = error(fault)
        if fault == "cut_after":
            return False
        if fault == "late":
            await asyncio.sleep(self.late_seconds)
        if fault == "cut_body":
            start = reply.index(b"\r\n\r\n") + 4
            writer.write(reply[: start + (len(reply) - start) // 2 if len(reply) > start + 1 else start // 2])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(writer.drain(), 1)
            await asyncio.sleep(0.01)  # an abort drops what is still in our own buffers
            return False
        writer.write(reply)
        await writer.drain()
        return b"content-length:" in reply[: reply.index(b"\r\n\r\n")].lower() and fields.get("connection") != "close"

    async def forward(self, lines: list[str], body: bytes) -> bytes:
        """Returns the server's whole answer to a request, as HTTP/1.1 with the connection kept."""
        reader, writer = await asyncio.open_connection(self.host, self.upstream)
        try:
            asked = lines[0].replace("HTTP/1.1", "HTTP/1.0")  # to which no server answers in chunks
            writer.write("\r\n".join([asked, *lines[1:-2], "Connection: close", "", ""]).encode("latin-1") + body)
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            sized = re.search(rb"\ncontent-length: *(\d+)", head.lower())
            empty = lines[0].startswith("HEAD ")
            rest = b"" if empty else await (reader.readexactly(int(sized[1])) if sized else reader.read(-1))
        finally:
            writer.close()
        status, *named = head.split(b"\r\n")
        named = [line for line in named if not line.lower().startswith((b"connection:", b"transfer-encoding:"))]
        if not any(line.lower().startswith(b"content-length:") for line in named):
            named.append(b"Content-Length: %d" % len(rest))
        return b"\r\n".join([status.replace(b"HTTP/1.0", b"HTTP/1.1"), *named, b"", rest])


def error(fault: str) -> bytes:
    """Returns the answer of a store that refuses, as S3 words it."""
    status, code = ERRORS[fault]
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{status}</Message></Error>'
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


async def _run(host: str, upstream: int) -> None:
    proxy = Proxy(host, upstream)
    server = await asyncio.start_server(proxy.meet, host, 0, limit=1 << 20)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        call, *arguments = json.loads(line)
        answer: Callable[..., Any] = getattr(proxy, call)
        print(json.dumps(answer(*arguments)), flush=True)
    os._exit(0)  # the test has ended: whoever still waits for an answer may


def serve(host: str, upstream: int) -> None:
    """Serves on a free port, which is printed, and obeys lines of JSON until they end."""
    asyncio.run(_run(host, upstream))
