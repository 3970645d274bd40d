"""The stage: documents to token ids."""

import hashlib
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe import ConfigError, PlanError
from datapipe.testing import dataset, evaluate
from stages.schema import DOCUMENT
from stages.tokens import Tokenize, Train, Trained, tokenizer_of
from stages.tokens.encoder import Boundaries, load
from stages.tokens.fast import hard_texts
from stages.tokens.learn import learn

EOS = "<|endoftext|>"
CORPUS = [
    "道可道，非常道。" * 9,
    "the fox jumps over the dog",
    f"a page that spells {EOS} and goes on",
    "名可名，非常名。",
]


def documents(*texts: str, source: str = "web") -> pa.Table:
    rows = [
        {"id": hashlib.blake2b(text.encode(), digest_size=16).digest(), "source": source, "text": text}
        for text in texts
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([DOCUMENT.field(name) for name in ("id", "source", "text")]))


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    path = tmp_path / "tiny.json"
    path.write_bytes(learn(CORPUS, 300, (EOS,)))
    return str(path)


def test_documents_get_ids_and_lose_their_text(tokenizer: str) -> None:
    made = evaluate(Tokenize(tokenizer=tokenizer).build(dataset(documents(*CORPUS))))

    assert made.table.column_names == ["id", "source", "input_ids", "tokens", "bytes", "characters"]
    assert made.table.column("tokens").to_pylist() == [len(ids) for ids in made.table.column("input_ids").to_pylist()]
    assert all(ids.index(0) == len(ids) - 1 for ids in made.table.column("input_ids").to_pylist())
    assert made.table.column("bytes").to_pylist() == [len(text.encode()) for text in CORPUS]
    assert made.table.column("characters").to_pylist() == [len(text) for text in CORPUS]
    assert made.counts["tokens"] == sum(made.table.column("tokens").to_pylist())
    assert made.counts["characters.source.web"] == sum(map(len, CORPUS))


def test_documents_without_tokens_leave(tokenizer: str) -> None:
    made = evaluate(Tokenize(tokenizer=tokenizer).build(dataset(documents("one", "", "two"))))

    assert made.table.num_rows == 2
    assert made.ledger.column("rule").to_pylist() == ["no_tokens"]


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_ids_do_not_depend_on_how_batches_are_cut(tokenizer: str, rows: int) -> None:
    made = Tokenize(tokenizer=tokenizer).build(dataset(documents(*CORPUS)))

    assert evaluate(made, rows_per_batch=rows).table.equals(evaluate(made).table)


def test_the_tokenizer_goes_along_with_what_it_encoded(tokenizer: str) -> None:
    encoded = Tokenize(tokenizer=tokenizer, eos=0).build(dataset(documents("one"), documents("two")))
    facts = evaluate(tokenizer_of(encoded)).table.to_pylist()

    content = Path(tokenizer).read_bytes()
    assert len(facts) == 1
    assert facts[0]["content"] == content
    assert facts[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (facts[0]["name"], facts[0]["vocabulary_size"], facts[0]["eos_id"], facts[0]["bos_id"]) == (
        "tiny",
        300,
        0,
        None,
    )


def test_documents_that_were_not_encoded_have_no_tokenizer() -> None:
    with pytest.raises(PlanError, match="put a 'tokenize' step before"):
        tokenizer_of(dataset(documents("one")))


def test_a_trained_tokenizer_is_the_same_from_any_shards() -> None:
    how = Tokenize(tokenizer=Trained(train=Train(vocab_size=300)))
    one = evaluate(tokenizer_of(how.build(dataset(documents(*CORPUS)))))
    two = evaluate(tokenizer_of(how.build(dataset(documents(*CORPUS[2:]), documents(*CORPUS[:2])))))

    assert one.table.equals(two.table)


def test_training_gives_equal_bytes_in_another_process_and_on_more_threads() -> None:
    here = hashlib.sha256(learn(CORPUS * 50, 400, (EOS,))).hexdigest()
    script = (
        f"import hashlib; from stages.tokens.train import learn; "
        f"print(hashlib.sha256(learn({CORPUS!r} * 50, 400, ({EOS!r},))).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", script],
        env={"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "4", "PYTHONHASHSEED": "3"},
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    )

    assert there.stdout.strip() == here


def test_the_sample_is_bounded_and_grows_with_its_limit() -> None:
    table = documents(*(f"document {number} " + "word " * 50 for number in range(200)))

    def sampled(size: int) -> int:
        how = Train(vocab_size=300, sample_bytes=size)
        made = evaluate(Tokenize(tokenizer=Trained(train=how)).build(dataset(table)))
        return made.counts["sampled_bytes"]

    assert sampled(10**9) == sum(len(text.encode()) for text in table.column("text").to_pylist())
    assert 5_000 < sampled(20_000) <= 20_000


def test_weights_by_source_hold_to_within_a_document() -> None:
    many = documents(*(f"document {number} " + "word " * 40 for number in range(300)), source="many")
    few = documents(*(f"文書{number}" + "字" * 20 for number in range(20)), source="few")
    how = Train(vocab_size=300, sample_bytes=20_000, weights={"many": 1, "few": 3})
    counts = evaluate(Tokenize(tokenizer=Trained(train=how)).build(dataset(many, few))).counts

    longest = max(len(text.encode()) for table in (many, few) for text in table.column("text").to_pylist())
    assert 5_000 - longest <= counts["sampled_bytes.many"] <= 5_000
    assert 15_000 - longest <= counts["sampled_bytes.few"] <= 15_000  # 1.6 kB of it, again and again
    assert counts["sampled_bytes"] == counts["sampled_bytes.many"] + counts["sampled_bytes.few"]


def test_a_tokenizer_trained_by_weights_is_the_same_from_any_shards() -> None:
    one, two = documents(*CORPUS, source="a"), documents(*(text[::-1] for text in CORPUS), source="b")
    how = Tokenize(tokenizer=Trained(train=Train(vocab_size=300, weights={"b": 0.7, "a": 0.3}, sample_bytes=500)))

    made = [evaluate(tokenizer_of(how.build(dataset(*shards)))).table for shards in ((one, two), (two, one))]
    assert made[0].equals(made[1])


@pytest.mark.parametrize(
    ("weights", "said"),
    [({"web": 1, "books": 1}, "no source books; the sources are web"), ({"web": -1}, "web: -1 is not a share")],
)
def test_weights_of_other_sources_are_said(weights: dict[str, float], said: str) -> None:
    how = Tokenize(tokenizer=Trained(train=Train(vocab_size=300, weights=weights)))
    with pytest.raises(ConfigError, match=said):
        evaluate(how.build(dataset(documents(*CORPUS))))


def test_another_seed_samples_other_documents() -> None:
    table = documents(*(f"document {number} " + f"word{number} " * 50 for number in range(60)))
    found = [
        evaluate(
            tokenizer_of(
                Tokenize(tokenizer=Trained(train=Train(vocab_size=300, sample_bytes=5_000, seed=seed))).build(
                    dataset(table)
                )
            )
        ).table.column("sha256")[0]
        for seed in (1, 2)
    ]

    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Tokenize(tokenizer="/no/such.json"), "/no/such.json: cannot be read|no such|not"),
        (Tokenize(tokenizer=__file__), "test_tokenize.py: is not a tokenizer.json"),
        (Tokenize(tokenizer=Trained(train=Train(vocab_size=256))), "vocab_size: 256 is below 257"),
        (Tokenize(tokenizer=Trained(train=Train(vocab_size=10**12))), "vocab_size: 1000000000000 is above 16,777,216"),
        (Tokenize(tokenizer=Trained(train=Train(sample_bytes=0))), "sample_bytes: 0"),
        (Tokenize(tokenizer=Trained(train=Train()), eos=0), "give eos and bos by name"),
    ],
)
def test_a_misuse_is_said_before_anything_is_read(stage: Tokenize, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        stage.build(dataset(documents("one")))


def test_text_is_needed(tokenizer: str) -> None:
    with pytest.raises(PlanError, match="'text'"):
        Tokenize(tokenizer=tokenizer).build(dataset(documents("one").drop_columns("text")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"config": {"pattern": "."}, "vocab": [{"rank": 0, "token_bytes": "AA=="}]}', "is a tekken.json"),
        ('{"a": 0, "b": 1}', "is a vocabulary without its merges"),
        ('{"tokenizer_class": "LlamaTokenizer"}', "is a tokenizer_config.json: give the tokenizer.json beside it"),
        ('{"vocab": "3"}', "it has no 'model'"),
        ("{", "is not a tokenizer.json that tokenizers can read"),
        ("1 'a' 1\n", "RWKV's world tokenizer"),
        ("IQ== 0\nIg== 1\n", "holds ranks of tiktoken, but not how text is cut"),
    ],
)
def test_other_files_of_tokenizers_are_known_by_name(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text(content)

    with pytest.raises(ConfigError, match=f"{path}: .*{said}"):
        Tokenize(tokenizer=str(path)).build(dataset(documents("one")))


def test_a_model_that_drops_merges_at_random_is_refused(tokenizer: str) -> None:
    data = json.loads(Path(tokenizer).read_bytes())
    data["model"]["dropout"] = 0.1
    Path(tokenizer).write_text(json.dumps(data))

    with pytest.raises(ConfigError, match="drops merges at random"):
        Tokenize(tokenizer=tokenizer).build(dataset(documents("one")))


def test_a_vocabulary_that_is_not_made_for_a_language_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "english.json").write_bytes(learn(["the quick brown fox jumps over the lazy dog"] * 20, 300, (EOS,)))
    stage = Tokenize(tokenizer=str(tmp_path / "english.json"))
    rows = documents("道可道，非常道。" * 500, "the fox jumps over the dog " * 500)
    rows = rows.append_column("language", pa.array(["lzh_Hans", "eng_Latn"]))
    made = evaluate(stage.build(dataset(rows)))

    warnings = [name for name in made.counts if name.startswith("warning.")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning.language lzh_Hans: more than 2 tokens for 3 bytes of text (a Han character)")
    assert "3.00 lzh_Hans" in next(stage.remarks(made.counts))  # three bytes a character, and EOS
    assert not list(stage.notes(1e6))


def test_the_tokenizer_of_gpt_neox_gives_back_documents(shared: Path) -> None:
    content = (shared / "data/tokenizers/rwkv/20B_tokenizer.json").read_bytes()
    made = load(content, Boundaries(None, EOS))
    texts = [*hard_texts(), (shared / "data/corpora/gutenberg/1342-0.txt").read_text()[:100_000]]
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    ids, lengths, _ = made.encode(texts)
    ends = lengths.cumsum()

    assert made.is_fast
    for text, end, length in zip(texts, ends, lengths, strict=True):
        assert made.decode(ids[end - length : max(end - 1, 0)].tolist()) == text
