"""From a cause that is another document on to the first one: what became of the survivor, and of the survivor's own.

A document that left as a copy in one corpus alone is explained by its survivor: it is not there in the other, as a
limit was moved, or it fell for another itself, and so on. Requests go to where the row of a document lies, by id, and
go on from there, ROUNDS times at most: what is on its way even then keeps its survivor as its cause. A chain that comes
back to itself is a cluster of which another document stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Dataset, Like, Output, Sized, Work
from datapipe.dataset import Batches
from stages.audit.compare.causes import CHANGE, GONE, POINTER, POINTS, SAME
from stages.audit.compare.causes import FIELDS as OTHER_FIELDS
from stages.audit.compare.side import SIDES

ROUNDS: Final = 4
ORDER, COPIES, EARLIER = "order", "copies", "earlier"  # causes that a chain ends with
BYTES_A_SHARD: Final = 512 << 20  # of the files of both runs
FOUND: Final = pa.schema([CHANGE.field(name) for name in ("cause", "stage", "rule", "moved")])
ADDRESS: Final = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("side", pa.int8(), nullable=False),
        CHANGE.field("kind"),
        *FOUND,
        *POINTER,
    ]
)
REQUEST: Final = pa.schema(
    [
        pa.field("id", ID, nullable=False),  # of the document that is asked about, and in which corpus
        pa.field("side", pa.int8(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),  # where the one lies who asks
        pa.field("row", pa.int32(), nullable=False),
        CHANGE.field("steps"),
        CHANGE.field("chain"),  # who asks, and who was asked
        pa.field("done", pa.bool_(), nullable=False),
        *FOUND,
        POINTER.field("otherwise"),
    ]
)

Row = Mapping[str, Any]  # Any: Arrow's Python values


def followed(changes: Dataset) -> Dataset:
    """Returns rows of CHANGE of those of LOCAL, each with its first cause."""
    asked = changes.map(ask, passes=True, outputs=(Output("addresses", ADDRESS), Output("requests", REQUEST)))
    addresses = asked.output("addresses").exchange("id", Sized(BYTES_A_SHARD), then=("side",))
    requests = asked.output("requests")
    for _ in range(ROUNDS):
        there = requests.exchange("id", Like(addresses), then=("side", "shard", "row"))
        requests = there.map(answer, schema=REQUEST, beside=addresses)
    answers = requests.exchange("shard", Like(asked), then=("row",), direct=True)
    return asked.map(finish, schema=CHANGE, beside=answers)


def ask(batches: Batches, work: Work) -> Batches:
    """Puts out where each document is to be asked about, and a request for each that points to another."""
    row = 0
    for batch in batches:
        for side, name in enumerate(SIDES):
            own = batch.filter(pc.is_valid(batch.column(f"id_{name}")))
            columns = [own.column(f"id_{name}"), pa.repeat(pa.scalar(side, pa.int8()), own.num_rows)]
            work.put("addresses", _made(ADDRESS, [*columns, *(own.column(one) for one in ADDRESS.names[2:])]))
        work.put("requests", _requests(batch, work.number, row))
        row += batch.num_rows
        yield batch


def _requests(batch: pa.RecordBatch, shard: int, first: int) -> pa.RecordBatch:
    rows = pc.indices_nonzero(pc.is_valid(batch.column("to_id")))
    own = batch.take(rows)
    asking = [
        " ".join(f"{name}:{one.hex()}" for name, one in zip(SIDES, ids, strict=True) if one is not None)
        for ids in zip(own.column("id_a").to_pylist(), own.column("id_b").to_pylist(), strict=True)
    ]
    columns = [
        own.column("to_id"),
        own.column("to_side"),
        pa.repeat(pa.scalar(shard, pa.int32()), own.num_rows),
        pc.add(rows.cast(pa.int32()), pa.scalar(first, pa.int32())),
        pa.repeat(pa.scalar(0, pa.int32()), own.num_rows),
        pa.array(asking, pa.string()),
        pa.repeat(pa.scalar(False), own.num_rows),
        *(own.column(name) for name in (*FOUND.names, "otherwise")),
    ]
    return _made(REQUEST, columns)


def _made(schema: pa.Schema, columns: list[pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def answer(batches: Batches, work: Work) -> Batches:
    """Yields the requests with what the document that is asked about says: the first cause, or whom to ask next.

    Both lie by id, so a batch of each is in memory, however many ask about one document.
    """
    addresses = _Addresses(iter(work.beside()))
    for batch in batches:
        done = batch.column("done")
        open_ones = batch.filter(pc.invert(done))
        yield batch.filter(done)
        if open_ones.num_rows:
            found = addresses.of(open_ones.column("id"))
            answered = [step(row, found.get((row["id"], row["side"]))) for row in open_ones.to_pylist()]
            yield pa.RecordBatch.from_pylist(answered, schema=REQUEST)


@dataclass
class _Addresses:
    """Rows of ADDRESS that lie by id, of which those of rising ids are asked for."""

    batches: Iterator[pa.RecordBatch]
    held: list[pa.RecordBatch] = field(default_factory=list)  # read, and may be asked about again

    def of(self, ids: pa.Array) -> dict[tuple[bytes, int], Row]:
        """Returns the rows of ids, which rise, by id and side."""
        found: dict[tuple[bytes, int], Row] = {}
        last, held = ids[-1].as_py(), []
        for batch in itertools.chain(self.held, self.batches):
            for row in batch.filter(pc.is_in(batch.column("id"), ids)).to_pylist():
                found.setdefault((row["id"], row["side"]), row)
            end = batch.column("id")[-1].as_py() if batch.num_rows else b""
            if end >= last:
                held.append(batch)
            if end > last:
                break
        self.held = held
        return found


def step(request: Row, found: Row | None) -> dict[str, Any]:  # Any: Arrow's Python values
    """Returns a request after it came to a document: `found` is its row of ADDRESS, None where it is in neither corpus.

    The cause that stands in a request is that of the last document but one, which stays if the chain ends here.
    """
    asked = f"{SIDES[request['side']]}:{request['id'].hex()}"
    made = {**request, "steps": request["steps"] + 1, "chain": f"{request['chain']} {asked}", "done": True}
    if found is None:
        return {**made, "cause": EARLIER}
    own = said(request["otherwise"])  # it is no longer as it was itself
    if found["kind"] in (SAME, GONE, OTHER_FIELDS):
        return {**made, **own, "steps": 0} if own else {**made, "cause": COPIES}
    if found["cause"] != POINTS:
        return {**made, **{name: found[name] for name in FOUND.names}}
    onwards = f"{SIDES[found['to_side']]}:{found['to_id'].hex()}"
    if onwards in made["chain"].split(" "):
        return {**made, **own, "steps": 0} if own else {**made, "cause": ORDER, **said(found["otherwise"])}
    return {**made, "done": False, "id": found["to_id"], "side": found["to_side"]}


def said(otherwise: str | None) -> dict[str, str | None]:
    """Returns cause, stage and rule of a line that says them; nothing where there is none.

    >>> said("step repair html"), said("text  "), said(None)
    ({'cause': 'step', 'stage': 'repair', 'rule': 'html'}, {'cause': 'text', 'stage': None, 'rule': None}, {})
    """
    words = otherwise.split(" ") if otherwise else []
    return {name: word or None for name, word in zip(FOUND.names, words, strict=False)}


def finish(batches: Batches, work: Work) -> Batches:
    """Yields rows of CHANGE: of those that asked, the first cause in the place of their own."""
    answers = pa.Table.from_batches(list(work.beside()), schema=REQUEST)
    numbers = answers.column("row")
    first = 0
    for batch in batches:
        inside = pc.and_(pc.greater_equal(numbers, first), pc.less(numbers, first + batch.num_rows))
        own = answers.filter(inside)
        made = {name: batch.column(name) for name in CHANGE.names}
        if len(own):
            rows = pc.subtract(own.column("row"), pa.scalar(first, pa.int32())).combine_chunks()
            places = pc.index_in(pa.array(range(batch.num_rows), pa.int32()), rows)
            there = pc.is_valid(places)
            for name in (*FOUND.names, "steps", "chain"):
                made[name] = pc.if_else(there, own.column(name).combine_chunks().take(places), made[name])
        first += batch.num_rows
        yield pa.RecordBatch.from_arrays([made[name] for name in CHANGE.names], schema=CHANGE)
