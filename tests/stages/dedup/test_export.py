import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasketch
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

import datapipe
from datapipe import ConfigError, DataError
from stages.corpus.export import app
from stages.dedup import plain
from stages.dedup.export import signatures
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.keys import Sign
from stages.dedup.signature import permutations

FOLD = load(fold_table())
EMPTY = 2**32 - 1
WORDS = " ".join(f"word{number}" for number in range(300))
TEXTS = [
    WORDS,
    WORDS.replace("word7 ", "changed "),
    "北京市人民政府关于进一步加强城市管理工作的若干意见，现印发给你们，请认真贯彻执行。",
    "too short",
    "",
]


def minima(text: str, amount: int = 128, seed: int = 1, width: int = 5) -> list[int]:
    drawn = permutations(amount, seed)
    return plain.signature(plain.shingle_hashes(tokens(text, FOLD), width), drawn.a.tolist(), drawn.b.tolist())


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def write_lines(path: Path, texts: list[str]) -> str:
    content = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode()
    if path.suffix == ".zst":  # in two frames
        content = b"".join(map(zstandard.ZstdCompressor().compress, (content[:500], content[500:])))
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


def load_npz(path: Path) -> dict[str, Any]:
    with np.load(path) as held:
        return {name: held[name] for name in held.files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run with signatures."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "in").mkdir()
    for number in range(3):
        write_lines(folder / "in" / f"{number}.jsonl", [f"{text} {number}" for text in TEXTS])
    config = {
        "name": "export",
        "steps": [
            {"ingest": {"sources": {"own": {"path": str(folder / "in")}}}},
            {"dedup": {"signatures": True, "permutations": 64, "seed": 3, "guard": None}},
        ],
    }
    datapipe.run(config, out=folder / "out", work=folder / "work", executor="local")
    return folder / "out"


def test_exports_what_a_run_has_signed(finished: Path, tmp_path: Path) -> None:
    signatures([str(finished)], out=str(tmp_path / "made.npz"))

    made = load_npz(tmp_path / "made.npz")
    keys = pq.read_table(finished / "keys").to_pylist()
    assert [bytes(row) for row in made["ids"]] == [row["id"] for row in keys]
    assert made["hashvalues"].tolist() == [row["signature"] or [EMPTY] * 64 for row in keys]
    assert {name: made[name].item() for name in set(made) - {"ids", "hashvalues"}} == {
        "permutations": 64,
        "seed": 3,
        "scheme": "affine32",
        "shingle": 5,
        "fold": fold_table().sha256,
    }
    wanted = [minima(f"{text} {number}", 64, 3) for text in TEXTS for number in range(3)]
    assert sorted(made["hashvalues"].tolist()) == sorted(wanted)


def test_exports_parquet_with_nulls_for_short_documents(finished: Path, tmp_path: Path) -> None:
    signatures([str(finished)], out=str(tmp_path / "made.parquet"))

    made = pq.read_table(tmp_path / "made.parquet")
    assert made.equals(pq.read_table(finished / "keys").select(["id", "signature"]).cast(made.schema))
    assert made.column("signature").null_count == 6
    assert json.loads(made.schema.metadata[b"datapipe.keys"])["scheme"] == "affine32"


def test_the_lines_that_the_command_shows_load_the_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    signatures([write_lines(tmp_path / "texts.jsonl", TEXTS)], out="signatures.npz")
    lines = [line.strip() for line in (signatures.__doc__ or "").splitlines() if " = " in line]
    known: dict[str, Any] = {"numpy": np, "datasketch": datasketch}

    for line in lines:
        exec(line, known)

    first, second, third, short, empty = known["minhashes"]
    shingles = [set(plain.shingle_hashes(tokens(text, FOLD), 5)) for text in TEXTS]
    jaccard = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    assert len(lines) == 3
    assert first.jaccard(second) == pytest.approx(jaccard, abs=0.07)  # two standard errors of 128 values are .02
    assert first.jaccard(third) == 0
    assert short.is_empty()
    assert empty.is_empty()
    lsh = datasketch.MinHashLSH(threshold=0.8, num_perm=128)
    lsh.insert("first", first)
    assert lsh.query(second) == ["first"]
    theirs = datasketch.MinHash(128, seed=1, scheme="affine32", hashfunc=lambda value: value)
    theirs.update_batch([shingle & EMPTY for shingle in shingles[2]])
    assert third.jaccard(theirs) == 1


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"])
@pytest.mark.parametrize("out", ["made.npz", "made.parquet"])
def test_signs_texts_of_files_in_their_order(ending: str, out: str, tmp_path: Path) -> None:
    one, other = tmp_path / f"one{ending}", tmp_path / f"another{ending}"
    for path, texts in ((one, TEXTS[:3]), (other, TEXTS[3:])):
        if ending == ".parquet":
            pq.write_table(pa.table({"text": texts}), path)
        else:
            write_lines(path, texts)

    signatures([str(one), str(other)], out=str(tmp_path / out), drawn=20, seed=9, shingle=2)

    if out.endswith(".npz"):
        made = load_npz(tmp_path / out)
        ids, rows = [bytes(row) for row in made["ids"]], made["hashvalues"].tolist()
    else:
        table = pq.read_table(tmp_path / out)
        ids, rows = table["id"].to_pylist(), [row or [EMPTY] * 20 for row in table["signature"].to_pylist()]
    assert ids == [digest(text) for text in TEXTS]
    assert rows == [minima(text, 20, 9, 2) for text in TEXTS]


def test_the_same_signatures_are_the_same_bytes(tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "texts.jsonl", TEXTS)

    for name in ("one.npz", "other.npz"):
        signatures([texts], out=str(tmp_path / name))

    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "other.npz", "texts.jsonl"]


PEAK = """
import re, sys
from stages.dedup.export import signatures
peaks = []
for source in sys.argv[1:]:
    signatures([source], out=source + "/made.npz")
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
print(peaks[1] - peaks[0])
"""


def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    sign = Sign(fold=fold_table(), permutations=128, seed=1, bands=1, rows=1, shingle=5, columns=(), signatures=True)
    schema, part = sign.keys_schema(), 20_000
    values = np.arange(part * 128, dtype=np.uint32)
    ids = pa.array([number.to_bytes(16, "big") for number in range(part)], pa.binary(16))
    bands = pa.nulls(part, schema.field("bands").type)
    columns = [ids, ids, bands, pa.FixedSizeListArray.from_arrays(values, 128)]
    for name, parts in (("few", 3), ("many", 9)):
        (tmp_path / name / "keys").mkdir(parents=True)
        table = pa.Table.from_batches([pa.record_batch(columns, schema=schema)] * parts)
        pq.write_table(table, tmp_path / name / "keys" / "part-0.parquet", use_dictionary=False)  # in one row group

    command = [sys.executable, "-c", PEAK, str(tmp_path / "few"), str(tmp_path / "many")]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])  # KiB

    made = load_npz(tmp_path / "many" / "made.npz")["hashvalues"]
    assert made.shape == (9 * part, 128)
    assert made[-1].tolist() == values[-128:].tolist()
    assert grown < made.nbytes / 1024 / 3  # all that is added is two thirds


def test_is_a_command(tmp_path: Path) -> None:
    out = tmp_path / "made.npz"
    source = write_lines(tmp_path / "texts.jsonl", TEXTS)

    said = CliRunner().invoke(app, ["signatures", source, "--out", str(out), "--permutations", "16"])

    assert said.output == f"5 documents of 16 permutations in {out}\n"
    assert load_npz(out)["hashvalues"].shape == (5, 16)


def test_says_what_is_wrong(finished: Path, tmp_path: Path) -> None:
    texts = write_lines(tmp_path / "texts.jsonl", TEXTS)
    out = str(tmp_path / "made.npz")

    def refused(*sources: str, out: str = out) -> str:
        with pytest.raises((ConfigError, DataError)) as error:
            signatures(list(sources), out=out)
        return str(error.value)

    assert "must end in .npz or .parquet" in refused(texts, out="made.npy")
    assert "the folder of one run" in refused(texts, str(finished))
    assert "holds no keys/" in refused(str(tmp_path))
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    assert "bad.jsonl: line 2: is no JSON object with `text`" in refused(str(tmp_path / "bad.jsonl"))
    (tmp_path / "odd.jsonl").write_text('{"text": 3}\n')
    assert "`text` is of int" in refused(str(tmp_path / "odd.jsonl"))
    (tmp_path / "cut.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(Path(texts).read_bytes())[:-20])
    assert "cannot be read after line" in refused(str(tmp_path / "cut.jsonl.zst"))
    pq.write_table(pa.table({"content": ["a"]}), tmp_path / "other.parquet")
    assert "no column 'text'" in refused(str(tmp_path / "other.parquet"))
    (tmp_path / "none.parquet").write_bytes(b"nothing")
    assert "no whole Parquet file" in refused(str(tmp_path / "none.parquet"))
    assert not Path(out).exists()


@pytest.mark.parametrize("out", ["file/made.npz", "/proc/made.npz"])
def test_says_where_it_cannot_write(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    place = str(tmp_path / out)
    texts = write_lines(tmp_path / "texts.jsonl", TEXTS)

    with pytest.raises(ConfigError, match=r"cannot be written \("):
        signatures([texts], out=place)
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        signatures([texts], out=str(tmp_path / "folder.npz"))


def test_a_file_that_is_not_beside_the_user_is_no_missing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"none\.jsonl: cannot be read \(No such file or directory\)"):
        signatures(["none.jsonl"], out="made.npz")


@pytest.mark.parametrize(
    "option", ["--permutations=1000000000", "--seed=4294967296", "--shingle=1000000000", "--seed=-1"]
)
def test_numbers_have_bounds(option: str, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "datapipe", "export", "signatures", "texts.jsonl", "--out", "made.npz", option],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode == 2
    assert f"Invalid value for '{option.partition('=')[0]}'" in made.stderr


def test_says_what_is_wrong_with_keys(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    first, second = (tmp_path / "keys" / f"part-{number}.parquet" for number in range(2))
    held = pq.read_table(finished / "keys")

    def refused() -> str:
        with pytest.raises(ConfigError) as error:
            signatures([str(tmp_path)], out=str(tmp_path / "made.npz"))
        return str(error.value)

    pq.write_table(held.drop_columns(["signature"]), first)
    assert "`signatures: true` in the step dedup" in refused()
    pq.write_table(held.replace_schema_metadata(None), first)
    assert "no keys of dedup" in refused()
    pq.write_table(held, first)
    said = {**json.loads(held.schema.metadata[b"datapipe.keys"]), "version": 1, "seed": 8}
    pq.write_table(held.replace_schema_metadata({"datapipe.keys": json.dumps(said)}), second)
    assert "seed is 8 and 3, version is 1 and" in refused()
