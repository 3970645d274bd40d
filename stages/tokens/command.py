"""The commands `datapipe train tokenizer` and `datapipe evaluate tokenizer`, and the card of a trained one."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, cast

import pyarrow as pa
import typer

from datapipe import ConfigError, Source, StageError, Work, resource
from datapipe.dataset import Map
from datapipe.storage import absolute, put
from stages.ingest.fields import FieldNames
from stages.ingest.stage import Ingest, SourceConfig
from stages.language.stage import DEFAULT_MODEL, Identify, Language, identify
from stages.tokens.draw import ALL, Least, check_seed, check_sources, check_weights, drawn, hash_of, quotas
from stages.tokens.encoder import Reference
from stages.tokens.fertility import Engine, Fertility, fertility, table
from stages.tokens.formats import JSON, kept, kind_of
from stages.tokens.learn import check_size, check_special, learn
from stages.tokens.pieces import Pieces
from stages.tokens.ranks import is_ranks, splitting
from stages.tokens.splits import Digits

log = logging.getLogger(__name__)
EOS = "<|endoftext|>"
ONE_IN = 50  # documents is set aside, where no others are given
HELD_BYTES = 1_000_000  # of a source, that fertility is measured on

Files = dict[str, tuple[str, ...]]  # paths by the name of the source
Texts = dict[str, list[str]]  # documents by the name of the source
Rows = list[tuple[str, str, Fertility]]  # texts, tokenizer, what it makes of them

Sources = Annotated[
    list[str], typer.Argument(help="NAME=PATH: a source and its files (JSONL, Parquet, text, WET), a glob or a folder")
]
Text = Annotated[str, typer.Option(help="key or column of the text")]
Most = Annotated[int, typer.Option(help="text of a source that is encoded (bytes), by the hash of its documents")]


@dataclass
class Count:
    """How much there is of a source, as it is read."""

    files: int = 0
    documents: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Given:
    """What there is of a source, and what of it was taken."""

    name: str
    files: int
    documents: int
    bytes: int
    texts: list[str]  # taken, in order, some more than once where the source is smaller than its share

    @property
    def taken_bytes(self) -> int:
        """The size of what was taken."""
        return sum(len(text.encode()) for text in self.texts)


def train_tokenizer(
    out: Annotated[str, typer.Argument(help="the tokenizer.json; its card goes to OUT.md")],
    sources: Sources,
    vocab_size: Annotated[
        int, typer.Option(help="size of the vocabulary, special tokens among it; a multiple of 128 suits tensor cores")
    ] = 65_536,
    weights: Annotated[
        str | None, typer.Option(help="NAME=SHARE,...: share of the sample by source; as there is of each if left out")
    ] = None,
    sample_bytes: Annotated[
        int, typer.Option(help="text to train on (bytes); training holds up to 64 times as much memory")
    ] = 50_000_000,
    special: Annotated[list[str] | None, typer.Option(help="a special token; may be repeated")] = None,
    reserve: Annotated[int, typer.Option(min=0, help="special tokens of no meaning yet: <|reserved_0|> and so on")] = 0,
    digits: Annotated[int, typer.Option(help="longest token of digits: 3, or 1")] = 3,
    seed: Annotated[int, typer.Option(help="another one draws another sample")] = 0,
    held_out: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH: texts to measure by, in place of a fiftieth of the documents")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="a tokenizer to measure beside it: tokenizer.json, .tiktoken, .model")
    ] = None,
    text: Text = "text",
) -> None:
    """Train a byte-level BPE tokenizer that keeps Han, Latin and digits apart, and say how many tokens it makes.

    Any text decodes to itself. Special tokens get the first ids (<|endoftext|> unless --special names others).
    Documents are drawn by a hash of their text: equal documents, in any files, give equal bytes.
    """
    if not out.endswith(".json"):
        raise ConfigError(f"'{out}' is not the name of a tokenizer.json: give that first, then sources")
    names = _special(special, reserve)
    check_seed(seed)
    if digits not in (1, 3):
        raise ConfigError(f"--digits {digits}: is neither 1 nor 3")
    if sample_bytes < 1:
        raise ConfigError(f"--sample-bytes {sample_bytes}: is not a positive number")
    check_size(vocab_size, names, "--vocab-size")
    files, shares = _files(sources), _weights(weights)
    if shares is not None:
        check_sources(shares, sorted(files))
    others = [(PurePath(path).name, engine_at(path)) for path in compare or ()]
    held_files = _files(held_out or [], "--held-out")

    taken, held = _sample(files, text, shares, sample_bytes, seed, apart=not held_files)
    held = {name: _least(name, paths, text, HELD_BYTES) for name, paths in held_files.items()} or held
    texts = [one for source in taken for one in source.texts]
    content = learn(texts, vocab_size, names, digits=cast(Digits, digits))
    place = absolute(out)
    put(place, content)
    rows = _measured(held, [(PurePath(out).name, Reference(content, ())), *others])
    settings = {"vocab_size": vocab_size, "sample_bytes": sample_bytes, "digits": digits, "seed": seed}
    lines = list(card(out, content, names, taken, shares, settings, rows, apart=not held_files))
    put(f"{place}.md", ("\n".join(lines) + "\n").encode())
    for line in (*table(rows), "", f"{out}: {_size(content):,} tokens; its card is {out}.md"):
        typer.echo(line)


def evaluate_tokenizer(
    tokenizers: Annotated[list[str], typer.Argument(help="tokenizer.json, .tiktoken ranks or .model files")],
    texts: Annotated[list[str], typer.Option("--text", help="NAME=PATH: texts to measure by; may be repeated")],
    column: Annotated[str, typer.Option(help="key or column of the text")] = "text",
    sample_bytes: Most = HELD_BYTES,
) -> None:
    """Say how many tokens tokenizers make of your texts, by source and language."""
    engines = [(PurePath(path).name, engine_at(path)) for path in tokenizers]
    held = {name: _least(name, paths, column, sample_bytes) for name, paths in _files(texts, "--text").items()}
    for line in table(_measured(held, engines)):
        typer.echo(line)


def engine_at(path: str) -> Engine:
    """Returns the tokenizer of a file. Raises ConfigError where it is none, or its splitter is not known."""
    content = resource(path).read()
    try:
        file = kept(content, splitting(None, None, PurePath(path).stem) if is_ranks(content) else None)
        return Reference(file, ()) if kind_of(file) == JSON else Pieces(file)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def card(
    out: str,
    content: bytes,
    special: Sequence[str],
    taken: Sequence[Given],
    weights: Mapping[str, float] | None,
    settings: Mapping[str, object],
    rows: Rows,
    *,
    apart: bool,
) -> Iterator[str]:
    """Yields the lines of a tokenizer's card, in Markdown."""
    digest = hashlib.sha256()
    for source in taken:
        for text in source.texts:
            data = text.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
    size = _size(content)
    yield f"# {PurePath(out).name}"
    yield ""
    yield "Byte-level BPE tokenizer of datapipe: any text decodes to itself. No token holds Han and Latin letters, or"
    yield "letters and digits, or a mark beside a Han character; white space stays in runs. Text is cut as by the"
    yield "tokenizer.json of DeepSeek-V3."
    yield ""
    yield f"- file: {len(content):,} bytes, SHA-256 `{hashlib.sha256(content).hexdigest()}`"
    yield f"- {size:,} tokens" + ("" if size == settings["vocab_size"] else ": the sample has no further pair to merge")
    yield f"- special tokens: {', '.join(f'`{name}` {number}' for number, name in enumerate(special))}"
    yield f"- settings: {', '.join(f'{name} {value}' for name, value in settings.items())}"
    yield f"- SHA-256 of the texts, each behind its length in 8 bytes: `{digest.hexdigest()}`"
    yield ""
    yield "## Tokens made of texts" + (" that were set aside" if apart else " that were not trained on")
    yield ""
    yield from table(rows)
    yield ""
    yield "Han one token: share of the Han characters that are a token by themselves; Han split: share in pieces."
    yield ""
    yield "## Texts"
    yield ""
    yield "| source | files | documents | bytes | weight | sampled documents | sampled bytes | times |"
    yield "|---|---|---|---|---|---|---|---|"
    for source in taken:
        weight = "-" if weights is None else f"{weights[source.name]:g}"
        times = source.taken_bytes / source.bytes if source.bytes else 0.0
        sampled = f"{len(source.texts):,} | {source.taken_bytes:,} | {times:.2f}"
        yield (f"| {source.name} | {source.files:,} | {source.documents:,} | {source.bytes:,} | {weight} | {sampled} |")


def _size(content: bytes) -> int:
    return len(json.loads(content)["model"]["vocab"])


def _special(special: list[str] | None, reserve: int) -> list[str]:
    names = [*(special or [EOS]), *(f"<|reserved_{number}|>" for number in range(reserve))]
    for place, name in enumerate(names):
        if not name or name in names[:place]:
            raise ConfigError(f"--special: '{name}' is {'given twice' if name else 'empty'}")
    check_special(names)
    return names


def _files(sources: Sequence[str], option: str = "a source") -> Files:
    found: Files = {}
    for one in sources:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"{option}: '{one}' is not NAME=PATH, such as zh=corpus/zh/*.jsonl.zst")
        found[name] = (*found.get(name, ()), path)
    return found


def _weights(told: str | None) -> dict[str, float] | None:
    if told is None:
        return None
    found = {}
    for one in told.split(","):
        name, _, share = one.partition("=")
        try:
            found[name.strip()] = float(share)
        except ValueError as error:
            raise ConfigError(f"--weights: '{one}' is not NAME=SHARE, such as zh=0.5") from error
    check_weights(found)
    return found


def _sample(
    files: Files, text: str, weights: Mapping[str, float] | None, sample_bytes: int, seed: int, *, apart: bool
) -> tuple[list[Given], Texts]:
    """Returns what is trained on by source, and, where documents are set `apart`, some of those by source.

    Memory holds what is sampled, and no more however much there is.
    """
    whole = sum((weights or {}).values())
    pools = dict.fromkeys(files, Least(seed, sample_bytes))
    if weights is not None:
        pools = {name: Least(seed, math.ceil(sample_bytes * weights[name] / whole)) for name in files if weights[name]}
    counts = {name: Count() for name in sorted(pools)}
    held = {}
    for name, count in counts.items():
        aside = Least(0, HELD_BYTES)
        for document in _texts(name, files[name], text, count):
            if apart and hash_of(0, b"held out\0" + document.encode()) % ONE_IN == 0:
                aside.add(document)
            else:
                count.documents += 1
                count.bytes += pools[name].add(document, name)
        held[name] = [text for _, text in aside.documents()]
    wanted = quotas({name: count.bytes for name, count in counts.items()}, weights, sample_bytes)
    taken: Texts = {name: [] for name in counts}
    for part, quota in wanted.items():
        there = pools[part or next(iter(pools))].documents()
        for number, chosen in enumerate(drawn([text for _, text in there], quota, again=part != ALL)):
            taken[there[number % len(there)][0]].append(chosen)
    found = [Given(name, count.files, count.documents, count.bytes, taken[name]) for name, count in counts.items()]
    return found, held


def _least(name: str, paths: Sequence[str], text: str, most: int) -> list[str]:
    """Returns the documents of least hash of a source, about `most` bytes."""
    pool = Least(0, most)
    for document in _texts(name, paths, text, Count()):
        pool.add(document)
    return [text for _, text in pool.documents()]


def _texts(name: str, paths: Sequence[str], text: str, count: Count) -> Iterator[str]:
    """Yields the documents of a source as ingest reads them; adds its files to `count`.

    Raises:
        ConfigError: a path or column is wrong, or there is no text.
    """
    made = Ingest(sources={name: SourceConfig(path=tuple(paths), fields=FieldNames(text=text))}).build().op
    if not (isinstance(made, Map) and isinstance(made.parent.op, Source)):
        raise StageError("ingest is no longer one map over a source")
    lost: Counter[str] = Counter()
    documents = 0
    for number, files in enumerate(made.parent.op.groups):
        count.files += len(files)
        work = Work(number)
        for batch in made.function(made.parent.op.read(files, work), work):
            documents += batch.num_rows
            yield from batch.column("text").to_pylist()
        lost += work.counts
    for rule, amount in sorted(lost.items()):
        if rule.startswith(("drop.", "quarantine.")):
            log.warning("%s: left out by rule %s: %s", name, rule.partition(".")[2], f"{amount:,}")
    if not documents:
        raise ConfigError(f"{name}: {', '.join(paths)}: holds no document with text in '{text}'")


def _measured(held: Texts, engines: Sequence[tuple[str, Engine]]) -> Rows:
    """Returns the sums of each tokenizer by source, and by language where there are several sources or languages."""
    how = Identify(resource(str(DEFAULT_MODEL)), Language.letters, Language.mixed_share, Language.min_score, 1.0, None)
    groups: Texts = {}
    for texts in held.values():
        labels = identify(pa.array(texts, pa.large_string()), how)[0].to_pylist() if texts else []
        for text, label in zip(texts, labels, strict=True):
            groups.setdefault(f"all in {label}", []).append(text)
    told = {**held, **dict(sorted(groups.items()))}
    found = []
    for group, texts in told.items():
        found += [(group, name, fertility(engine, texts)) for name, engine in engines if texts]
    return found
