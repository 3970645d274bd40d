"""Documents taken out of a corpus: what is said, what readers see, and what a rebuild still holds."""

import hashlib
import io
import json
import shutil
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from datapipe import ID, ConfigError, DataError
from datapipe.verify import verify
from stages.corpus import Corpus
from stages.corpus.export.sequences import sequences
from stages.corpus.overlay import put_skip
from stages.corpus.remove import remove
from stages.corpus.remove.asked import Asked, hosts_of, plain_host, read_lists
from stages.corpus.remove.command import find, record
from stages.corpus.remove.rebuild import _silent
from stages.corpus.verify import check as check_overlays
from stages.mix import Validation
from stages.mix.verify import check as check_shards
from tests.stages.corpus.made import made
from tests.stages.corpus.runs import run, url

EOS = 0
KINDS = {"train": "segments", "validation": "validation-segments"}
COUNTS = ("tokens", "padding")
PACKINGS = ("concat", "best_fit", "document")
APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(remove)


def asked_for(folder: Path, *words: object) -> str:
    """Runs the command; returns what it said."""
    done = CliRunner().invoke(APP, [str(folder), *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "corpus" / "manifest.json").read_bytes())
    return found


def table_of(folder: Path, kind: str) -> pa.Table:
    names = [row["name"] for row in manifest(folder)["index"] if row["name"].startswith(f"index/{kind}-")]
    return pa.concat_tables([pq.read_table(folder / "corpus" / name) for name in names])


def stored(folder: Path, split: str) -> list[dict[str, Any]]:
    """Returns the rows of the shards as they lie there."""
    names = [shard["name"] for shard in manifest(folder)["shards"] if shard["split"] == split]
    return pa.concat_tables([pa.ipc.open_file(folder / "corpus" / n).read_all() for n in names]).to_pylist()


def read(folder: Path, split: str) -> list[tuple[int, str]]:
    """Returns what readers see: the position and the row, which may hold NaN."""
    runs = Corpus.open(str(folder)).split(split).runs()
    return [(first + row, repr(value)) for first, batch in runs for row, value in enumerate(batch.to_pylist())]


def exported(folder: Path, split: str) -> list[list[int]]:
    """Returns the sequences that exports write."""
    parts = sequences(Corpus.open(str(folder)), split, "document")
    ends = ((part.tokens, part.lengths.cumsum()) for part in parts)
    return [ids.tolist() for tokens, at in ends for ids in np.split(tokens, at)[:-1]]


def faults(folder: Path) -> list[str]:
    return [*check_shards(str(folder)), *check_overlays(str(folder))]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A corpus of each packing, by packing; none is changed."""
    held_out = Validation(ratio=0.1)
    fields: dict[str, Any] = {"validation": held_out, "shard_bytes": 15_000}
    return {name: made(tmp_path_factory.mktemp(name), packing=name, **fields) for name in PACKINGS}


@pytest.mark.parametrize("packing", PACKINGS)
@settings(max_examples=4)
@given(
    chosen=st.sets(st.integers(0, 89), min_size=1, max_size=90),
    skipped=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 20)), max_size=2),
    earlier=st.sets(st.integers(0, 89), max_size=4),
)
def test_readers_see_the_same_through_an_overlay_and_in_a_rebuild(
    packing: str,
    chosen: set[int],
    skipped: list[tuple[int, int]],
    earlier: set[int],
    corpora: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("law")
    before = corpora[packing]
    old, new = shutil.copytree(before, place / "old"), place / "new"
    ids = table_of(old, "documents").column("doc_id").to_pylist()
    for start, length in skipped:
        corpus = Corpus.open(str(old))
        stop = min(start + length, corpus.split().total)
        if start < stop:
            put_skip(corpus.folder, corpus.manifest, {"train": [(start, stop)]})
    if earlier:
        asked_for(old, "--ids", write(place / "earlier", *(ids[one] for one in sorted(earlier))), "--apply")
    names = write(place / "ids", *(ids[one].upper() for one in sorted(chosen)))

    asked_for(old, "--ids", names, "--apply", "--rebuild", "--out", new)

    for split in Corpus.open(str(old)).splits:
        assert read(new, split) == read(old, split)
        assert exported(new, split) == exported(old, split)
    assert faults(old) == faults(new) == []
    gone = {ids[one] for one in chosen | earlier}
    check_nothing_is_left(before, new, gone)
    check_the_rest_is_as_it_was(before, new, gone)


def check_nothing_is_left(before: Path, new: Path, gone: set[str]) -> None:
    for split, kind in KINDS.items():
        rows = stored(new, split)
        for piece in table_of(before, kind).to_pylist():
            if piece["doc_id"] in gone:
                row = rows[piece["sample"]]
                if "sample" in row:
                    assert set(row["input_ids"][piece["start"] : piece["end"]]) == {EOS}
                else:
                    assert (row["input_ids"], row["n_tokens"], row["doc_id"], row["lang"]) == ([EOS], 1, None, None)
        assert gone.isdisjoint(table_of(new, kind).column("doc_id").to_pylist())
    for row in table_of(new, "documents").to_pylist():
        if row["doc_id"] in gone:
            known = {name for name, value in row.items() if value is not None}
            assert known == {"doc_id", "source", "split", "tokens", "times_seen"}
            assert (row["split"], row["tokens"], row["times_seen"]) == ("removed", 0, 0)


def check_the_rest_is_as_it_was(before: Path, new: Path, gone: set[str]) -> None:
    was, now = manifest(before), manifest(new)
    for split, kind in KINDS.items():
        pieces, taken = table_of(before, kind).to_pylist(), dict[int, set[int]]()
        for piece in pieces:
            if piece["doc_id"] in gone:
                taken.setdefault(piece["sample"], set()).update(range(piece["start"], piece["end"]))
        rows = stored(new, split)
        for at, row in enumerate(stored(before, split)):
            if at not in taken:
                assert repr(rows[at]) == repr(row)
            elif "sample" in row:
                kept = [token for place, token in enumerate(row["input_ids"]) if place not in taken[at]]
                assert [t for place, t in enumerate(rows[at]["input_ids"]) if place not in taken[at]] == kept
                assert {**rows[at], "input_ids": 0} == {**row, "input_ids": 0}
        assert table_of(new, kind).to_pylist() == [piece for piece in pieces if piece["doc_id"] not in gone]
        old, said = was["splits"][split], now["splits"][split]
        assert said["tokens"] == old["tokens"] - sum(map(len, taken.values()))
        assert was["packing"]["by"] == "document" or sum(map(said.get, COUNTS)) == sum(map(old.get, COUNTS))
    for row, old_row in zip(*(table_of(at, "documents").to_pylist() for at in (new, before)), strict=True):
        assert row["doc_id"] == old_row["doc_id"]
        assert row == old_row or row["doc_id"] in gone
    assert now["order_sha256"] == was["order_sha256"]


def test_files_without_a_removed_document_are_the_same_files(corpora: dict[str, Path], tmp_path: Path) -> None:
    before, new = corpora["document"], tmp_path / "new"
    pieces = table_of(before, "segments").to_pylist()
    shards = {piece["doc_id"]: {p["shard"] for p in pieces if p["doc_id"] == piece["doc_id"]} for piece in pieces}
    rarest = min(shards, key=lambda one: len(shards[one]))

    asked_for(before, "--ids", write(tmp_path / "ids", rarest), "--rebuild", "--out", new)

    for number, shard in enumerate(manifest(before)["shards"]):
        same = (before / "corpus" / shard["name"]).samefile(new / "corpus" / shard["name"])
        assert same == (number not in shards[rarest])
    assert not (before / "corpus" / "overlays").exists()


def test_a_file_that_someone_put_into_a_corpus_is_not_carried_over(corpora: dict[str, Path], tmp_path: Path) -> None:
    before = shutil.copytree(corpora["concat"], tmp_path / "run")
    (before / "corpus" / "export").mkdir()
    (before / "corpus" / "export" / "train.bin").write_bytes(b"tokens")
    name = table_of(before, "documents").column("doc_id")[3].as_py()
    new = before / "corpus" / "new"

    asked_for(before, "--ids", write(tmp_path / "ids", name), "--rebuild", "--out", new)

    left = {str(path.relative_to(new / "corpus")) for path in (new / "corpus").rglob("*") if path.is_file()}
    names = {row["name"] for row in [*manifest(new)["shards"], *manifest(new)["index"]]}
    assert left - names - {"overlays/00001-skip.json"} == {"manifest.json", "tokenizer.json"}


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_a_sample_that_two_removals_at_once_empty_is_left_out(
    packing: str, corpora: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(corpora[packing], tmp_path / "run")
    held: dict[int, set[str]] = {}
    for piece in table_of(folder, "segments").to_pylist():
        held.setdefault(piece["sample"], set()).add(piece["doc_id"])
    both = next(names for names in held.values() if len(names) == 2)
    corpus = Corpus.open(str(folder))
    entries = [{"urls": {}, "hosts": {}, "ids": {name: name}} for name in sorted(both)]
    takedowns = [find(corpus, Asked(own), with_duplicates=False) for own in entries]

    for takedown in takedowns:
        record(corpus, takedown, takedown.said())

    seen = {row["sample"] for batch in Corpus.open(str(folder)).split().rows() for row in batch.to_pylist()}
    assert seen == {sample for sample, names in held.items() if not names <= both}
    assert faults(folder) == []


def test_an_index_that_is_gone_is_named(corpora: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(corpora["concat"], tmp_path / "run")
    path = folder / "corpus" / "index" / "documents-00001-of-00003.parquet"
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(DataError, match=r"documents-00001-of-00003\.parquet: cannot be read"):
        asked_for(folder, "--ids", write(tmp_path / "ids", "0" * 32))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"))


class Gone(io.StringIO):
    """An output that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_what_reads_only_the_first_lines_stops_nothing(finished: Path, tmp_path: Path) -> None:
    hosts, folder = write(tmp_path / "hosts", "two.example"), shutil.copytree(finished, tmp_path / "out")

    with redirect_stdout(Gone()), pytest.raises(BrokenPipeError):
        remove(str(folder), hosts=str(hosts), apply=True)

    assert (folder / "corpus" / "overlays" / "00001-remove.json").exists()


def test_says_what_would_go_and_changes_nothing(finished: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    address, survivor = duplicate(finished)
    urls = write(
        tmp_path / "urls",
        "# of the takedown of Friday",
        "HTTPS://One.example:443/5/page-5/#top",
        "https://天.example/1/page-8",
        "",
        "two.example/0",
        address.replace("https", "http"),
        "nowhere.example/page",
    )
    hosts = write(tmp_path / "hosts", "two.example", "example.org")

    said = asked_for(finished, "--urls", urls, "--hosts", hosts)

    rows = [row for row in table_of(finished, "documents").to_pylist() if row["url"] is not None]
    listed = [row for row in rows if row["host"].endswith("two.example") or row["url"] in (url(5), url(8))]
    seen = {row["doc_id"] for row in listed}
    tokens = dict.fromkeys(("train", "validation"), 0)
    for split, kind in (("train", "segments"), ("validation", "validation-segments")):
        pieces = table_of(finished, kind).to_pylist()
        tokens[split] = sum(piece["end"] - piece["start"] for piece in pieces if piece["doc_id"] in seen)
        words = next(line.split() for line in said.splitlines() if line.startswith(f"{split} ") and "web" in line)
        mine = [row for row in listed if row["split"] == split]
        whole = [row for row in rows if row["split"] == split]
        all_seen = sum(row["tokens"] * row["times_seen"] for row in whole)
        every = manifest(finished)["splits"][split]["tokens"]
        assert words[2:] == [
            f"{len(mine):,}",
            f"{len(whole):,}",
            f"{sum(row['tokens'] for row in mine):,}",
            f"{tokens[split] / sum(row['tokens'] for row in mine):.2f}",
            f"{tokens[split]:,}",
            f"{tokens[split] / all_seen:.3%}",
            f"{tokens[split] / every:.3%}",
        ]
    assert "found nowhere: 3\n  urls: two.example/0\n  urls: nowhere.example/page\n  hosts: example.org\n" in said
    assert f"dropped before, as the ledger says: 1\n  urls: {address.replace('https', 'http')}\n" in said
    assert f"  {address} -> {survivor['doc_id']} {survivor['url']}, similarity 1.000" in said
    assert "nothing is changed: --apply records this" in said
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def duplicate(folder: Path) -> tuple[str, dict[str, Any]]:
    """Returns the address of a document that was dropped for another, not of two.example, and that other's row."""
    rows = {row["doc_id"]: row for row in table_of(folder, "documents").to_pylist()}
    links = [row for row in pq.read_table(folder / "ledger").to_pylist() if row["action"] == "duplicate_of"]
    found = [(row["url"], rows[row["other"].hex()]) for row in links if "two.example" not in row["url"]]
    address, survivor = next((a, s) for a, s in found if not s["host"].endswith("two.example"))
    return str(address), survivor


def test_a_duplicate_that_survived_goes_when_asked(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    address, survivor = duplicate(finished)
    names = write(tmp_path / "urls", address)

    assert "no document goes" in asked_for(folder, "--urls", names)
    assert "which goes too" in asked_for(folder, "--urls", names, "--with-duplicates", "--apply")

    gone = pq.read_table(folder / "corpus" / "overlays" / "00001-remove.parquet").column("doc_id").to_pylist()
    assert set(gone) == {survivor["doc_id"]}
    again = asked_for(folder, "--urls", names, "--with-duplicates")
    assert "no document goes" in again
    assert "duplicates:" not in again


def test_the_same_text_under_another_address_goes_when_asked(tmp_path: Path) -> None:
    folder = run(tmp_path, dedup=False)
    names = write(tmp_path / "urls", url(40))
    both = {url(40), "https://copy.example/40"}
    rows = {row["url"]: row["doc_id"] for row in table_of(folder, "documents").to_pylist() if row["url"] in both}

    said = asked_for(folder, "--urls", names)
    assert "the very text of listed documents is in 1 more, which stays: --with-duplicates takes it too" in said
    assert f"  {rows['https://copy.example/40']} https://copy.example/40\n" in said
    assert "1 more, which goes too" in asked_for(folder, "--urls", names, "--with-duplicates", "--apply")
    gone = pq.read_table(folder / "corpus" / "overlays" / "00001-remove.parquet").column("doc_id").to_pylist()
    assert set(gone) == set(rows.values())


def test_what_lies_below_a_page_goes_when_asked(finished: Path, tmp_path: Path) -> None:
    names = write(tmp_path / "urls", "one.example/5")
    rows = table_of(finished, "documents").to_pylist()
    under = [row for row in rows if (row["url"] or "").startswith("https://one.example/5/")]

    assert f"{len(under)} documents more lie below a listed page: --below takes them too" in asked_for(
        finished, "--urls", names
    )
    words = asked_for(finished, "--urls", names, "--below").splitlines()
    assert sum(int(line.split()[2]) for line in words if " web " in line) == len(under) > 1


def test_the_record_says_who_asked_and_for_what(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    hosts = write(tmp_path / "hosts", "two.example")
    asked_for(folder, "--hosts", hosts, "--apply", "--reason", "notice of 3 May", "--reference", "case 17")
    said = json.loads((folder / "corpus" / "overlays" / "00001-remove.json").read_bytes())
    pieces = pq.read_table(folder / "corpus" / "overlays" / "00001-remove.parquet")

    digest = hashlib.sha256(hosts.read_bytes()).hexdigest()
    assert (said["reason"], said["reference"]) == ("notice of 3 May", "case 17")
    assert (said["below"], said["with_duplicates"]) == (False, False)
    assert said["asked"] == {"hosts": {"sha256": digest, "entries": 1}}
    inside = [row for row in pieces.to_pylist() if row["sample"] >= 0]
    assert said["removed"] == {
        "documents": len(set(pieces.column("doc_id").to_pylist())),
        "pieces": len(inside),
        "tokens": sum(row["end"] - row["start"] for row in inside),
        "samples": len({(row["split"], row["sample"]) for row in inside}),
    }
    assert list(verify(str(folder))) == []
    assert f"{said['removed']['documents']} documents are removed already" in asked_for(folder, "--hosts", hosts)


def test_a_rebuild_is_whole_and_its_ledger_says_nothing_of_the_removed(finished: Path, tmp_path: Path) -> None:
    hosts = write(tmp_path / "hosts", "one.example", "copy.example")
    new = tmp_path / "new"
    before = pq.read_table(finished / "ledger")

    said = asked_for(finished, "--hosts", hosts, "--rebuild", "--out", new, "--reference", "case 18")

    assert list(verify(str(new))) == []
    assert f"{new}/corpus/index: id and source of each removed document" in said
    content = b"".join(path.read_bytes() for path in new.rglob("*.json"))
    for path in [*(new / "ledger").iterdir(), *(new / "corpus" / "index").iterdir()]:
        content += repr(pq.read_table(path).to_pylist()).encode()
    assert b"one.example" not in content
    assert b"copy.example" not in content
    assert b"two.example" in content
    assert pq.read_table(new / "ledger").column("id").to_pylist() == before.column("id").to_pylist()
    (record,) = manifest(new)["removed"]
    assert record["reference"] == "case 18"
    assert record["parent"]["merkle_root"] == manifest(finished)["merkle_root"]
    assert record["documents"] == manifest(new)["documents"]["removed"]


def test_a_file_that_a_rebuild_carries_over_and_is_gone_is_named(finished: Path, tmp_path: Path) -> None:
    """A corpus that was copied somewhere without all that lay beside it."""
    old, hosts = tmp_path / "old", write(tmp_path / "hosts", "one.example")
    shutil.copytree(finished, old, ignore=shutil.ignore_patterns("work"))
    (lost, *_) = (old / "ledger").iterdir()
    lost.unlink()

    with pytest.raises(DataError, match=f"{lost}: is gone, though it was published"):
        asked_for(old, "--hosts", hosts, "--rebuild", "--out", tmp_path / "new")

    assert {path.name for path in tmp_path.iterdir()} == {"hosts", "old"}


def test_a_rebuild_names_the_file_that_it_cannot_read_and_leaves_nothing(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    path = next((folder / "signals").glob("charsets-web-*"))
    path.write_bytes(path.read_bytes()[:-9])
    before = sorted(tmp_path.iterdir())

    with pytest.raises(DataError, match=rf"{path.name}: cannot be read"):
        asked_for(folder, "--hosts", write(tmp_path / "hosts", "two.example"), "--rebuild", "--out", tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "hosts"])


def test_ledger_and_signals_lose_what_they_say_of_a_document_wherever_it_stands() -> None:
    one, other = bytes(16), bytes(15) + b"1"
    pair = {"id": [one, other], "twin": [other, one], "url": ["a", "b"], "twin_url": ["b", "a"], "rule": ["x", "y"]}
    drop = {"id": [other, other], "other": [one, None], "url": ["b", "b"], "note": ["of the same text", "of its own"]}
    kinds = {"id": ID, "twin": ID, "other": ID}
    ids = pa.array([one], ID)

    pairs, drops = (
        _silent(pa.table(rows, schema=pa.schema({name: kinds.get(name, pa.string()) for name in rows})), ids=ids)
        for rows in (pair, drop)
    )

    assert pairs.to_pydict() == {**pair, "url": [None, "b"], "twin_url": ["b", None]}
    assert drops.to_pydict() == {**drop, "note": [None, "of its own"]}


def test_a_rebuild_of_a_rebuild_keeps_both_on_record(finished: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    asked_for(finished, "--hosts", write(tmp_path / "one", "one.example"), "--rebuild", "--out", first)
    asked_for(first, "--hosts", write(tmp_path / "two", "two.example"), "--rebuild", "--out", second)
    both = write(tmp_path / "both", "one.example", "two.example")
    asked_for(finished, "--hosts", both, "--rebuild", "--out", tmp_path / "both_at_once")

    assert read(second, "train") == read(tmp_path / "both_at_once", "train")
    assert manifest(second)["merkle_root"] == manifest(tmp_path / "both_at_once")["merkle_root"]
    records = manifest(second)["removed"]
    assert sum(record["documents"] for record in records) == manifest(second)["documents"]["removed"]
    assert [record["parent"]["merkle_root"] for record in records] == [
        manifest(folder)["merkle_root"] for folder in (finished, first)
    ]
    assert list(verify(str(second))) == []


def test_overlays_alone_can_be_rebuilt(finished: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished, tmp_path / "out")
    asked_for(folder, "--hosts", write(tmp_path / "hosts", "one.example"), "--apply")

    asked_for(folder, "--rebuild", "--out", tmp_path / "new")

    assert read(tmp_path / "new", "train") == read(folder, "train")
    assert not list((tmp_path / "new" / "corpus" / "overlays").glob("*-remove.json"))


LABELS = st.text("ab-1Ü天", min_size=1, max_size=4)
HOSTS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
URLS = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["http://", "HTTPS://", "ftp://", "//", "", " http://", "ht\ttp://"]),
    st.sampled_from(["", "me@", "a:b@"]),
    HOSTS,
    st.sampled_from(["", ".", ":80", ":8080", ":", ":x"]),
    st.sampled_from(["", "/", "/a?b=天", "?q", "#x", "\\x", " y", "\u3000"]),
)


@given(st.lists(st.one_of(URLS, st.none(), st.text(max_size=8)), max_size=8))
def test_hosts_are_those_of_the_plain_twin(urls: list[str | None]) -> None:
    wanted = [plain_host(one) if one is not None else None for one in urls]

    assert hosts_of(pa.array(urls, pa.string())).to_pylist() == wanted


def test_a_host_is_all_below_it_and_no_other_of_its_ending(tmp_path: Path) -> None:
    asked = read_lists(None, str(write(tmp_path / "hosts", "0.0.0.0 a.example", "||b.example^")), None)
    names = [
        "http://a.example/",
        "http://x.a.example:81/y",
        "http://xa.example/",
        "http://x.B.example",
        None,
        "a.example",
    ]

    assert asked.match(None, [pa.array(names)]).rows == {
        0: {("hosts", "a.example")},
        1: {("hosts", "a.example")},
        3: {("hosts", "b.example")},
    }


def test_canonical_addresses_count_too() -> None:
    asked = Asked({"urls": {"a.example/b": "a.example/b"}, "hosts": {}, "ids": {}})
    columns = [pa.array(["http://x.example/1", "http://y.example/"]), pa.array([None, "http://a.example/b"])]

    assert asked.match(None, columns).rows == {1: {("urls", "a.example/b")}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give what is to be removed: --urls, --hosts or --ids"),
        (["--rebuild"], "--rebuild and --out go together"),
        (["--urls", "none", "--out", "x"], "--rebuild and --out go together"),
        (["--urls", "none"], "none: cannot be read"),
        (["--urls", "empty"], "--urls empty: holds no entry"),
        (["--ids", "bad"], "bad:2: 'xyz' is no document id; one has 32 hex digits"),
        (["--hosts", "bad"], "is no host"),
        (["--ids", "good", "--rebuild", "--out", "."], "is there already"),
        (["--ids", "good", "--rebuild", "--out", "x"], "no document goes"),
    ],
)
def test_says_what_is_wrong(
    words: list[str], said: str, corpora: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "empty", "# nothing", "")
    write(tmp_path / "bad", "0" * 32 + " # one", "xyz", "a b c")
    write(tmp_path / "good", "0" * 32)

    with pytest.raises(ConfigError) as error:
        asked_for(corpora["concat"], *words)
    assert said in str(error.value)


def test_is_a_command() -> None:
    (found,) = entry_points(group="datapipe.commands", name="remove")

    assert found.load() is remove
