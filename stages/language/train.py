"""Training of the step's own model, and its card: what it was made from and how often it is right."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from datapipe import resource
from datapipe.errors import ConfigError
from stages.language.model import SCALE, HashedModel, count, dump, weigh
from stages.language.names import UNDETERMINED, fits, language_of
from stages.language.pieces import GROUPS, cut
from stages.language.stage import Identify, Language, identify
from stages.language.tables import SCRIPTS

LENGTHS = (50, 200, 1000)  # characters at which a model is judged
MOST_TESTS = 400  # of a class, source and length; of more, every second, third, ...
TEMPERATURES = tuple(2 ** (step / 4) for step in range(-4, 17))
_LETTERS = 1 << 14  # of a text that are learnt from


@dataclass(frozen=True)
class Sample:
    """A text of a known language. `test`: it judges the model and is not learnt from."""

    text: str
    language: str
    source: str
    licence: str
    test: bool


@dataclass(frozen=True)
class Shape:
    """What kind of model: see `train_language`."""

    bits: int
    longest: int
    wide: int
    smoothing: float


@dataclass(frozen=True)
class Accuracy:
    """How many of `tests` texts of `length` characters of a source the step gave their language."""

    language: str
    source: str
    length: int
    right: int
    tests: int


def train_language(
    samples: str, out: str, *, bits: int = 16, longest: int = 5, wide: int = 2, smoothing: float = 0.1
) -> list[Accuracy]:
    """Trains a language model, writes it to `out` and its card beside it (`.md`), and returns the card's accuracies.

    `samples` is a JSONL file (plain or .zst) or a folder of such. A line has `text` and `language` (ISO 639-3, a
    script after it is ignored; `und` for texts of languages that shall not be told), and may have `source`, `licence`
    and `role`: `test` keeps the text for judging. Where no line has, every tenth text (by digest) is kept, and the
    card says that it comes from the sources of training.

    `bits`: the model has 2^bits buckets. `longest`, `wide`: longest n-gram (characters) of alphabets, and of Han,
    kana and Hangul. `smoothing`: share of the languages' common frequency in each, in (0, 1). Equal samples give
    equal bytes.

    Raises:
        ConfigError: a line is not as told, there are fewer than two languages, or a value is out of its range.
    """
    if not (8 <= bits <= 24 and 1 <= longest <= 8 and 1 <= wide <= 8 and 0 < smoothing < 1):
        raise ConfigError("train language: bits is 8 to 24, longest and wide 1 to 8, smoothing between 0 and 1")
    held = list(read_samples(samples))
    apart = any(sample.test for sample in held)
    if not apart:
        held = [replace(sample, test=_digest(sample.text) % 10 == 0) for sample in held]
    learnt = [sample for sample in held if not sample.test]
    if len({sample.language for sample in learnt}) < 2:
        raise ConfigError(f"{samples}: needs texts of two languages or more to learn from")
    model = _trained(learnt, Shape(bits, longest, wide, smoothing))
    Path(out).write_bytes(dump(model))
    found = judge(out, [sample for sample in held if sample.test])
    Path(out).with_suffix(".md").write_text(card(out, model, held, found, apart=apart), "utf-8")
    return found


def read_samples(path: str) -> Iterator[Sample]:
    """Yields the samples of a file or folder, files by name. Raises ConfigError where a line is not one."""
    place = Path(path)
    files = sorted(place.glob("*.jsonl*")) if place.is_dir() else [place]
    if not files:
        raise ConfigError(f"{path}: holds no .jsonl or .jsonl.zst file")
    for file in files:
        for number, line in enumerate(_lines(file), 1):
            if line.strip():
                yield _sample(line, f"{file}:{number}", file.name.split(".")[0])


def judge(model: str, tests: Sequence[Sample]) -> list[Accuracy]:
    """Returns the accuracy of the step with the model at a path: by language, source and length, sorted."""
    how = Identify(resource(model), Language.letters, Language.mixed_share, Language.min_score, 1.0, None)
    texts: dict[tuple[str, str], list[str]] = {}
    for sample in tests:
        texts.setdefault((sample.language, sample.source), []).append(sample.text)
    found = []
    for (language, source), ours in sorted(texts.items()):
        for length in LENGTHS:
            joined = list(_joined(ours, length))
            joined = joined[:: math.ceil(len(joined) / MOST_TESTS) or 1]
            labels = identify(pa.array(joined, pa.string()), how)[0].to_pylist()
            right = sum(label.split("_")[0] == language for label in labels)
            found.append(Accuracy(language, source, length, right, len(joined)))
    return found


def card(path: str, model: HashedModel, held: Sequence[Sample], found: Sequence[Accuracy], *, apart: bool) -> str:
    """Returns the card of a model as Markdown."""
    content = Path(path).read_bytes()
    judged = "other sources than those" if apart else "a tenth, set aside, of the texts of the sources"
    lines = [
        f"# {Path(path).name}",
        "",
        (
            f"Language model of datapipe: {len(model.labels)} classes ({', '.join(model.labels)}), "
            f"{len(model.weights):,} buckets of hashed n-grams of 1-{model.longest} characters "
            f"(1-{model.wide} of Han, kana and Hangul), one byte a weight. It holds no words and no text."
        ),
        "",
        f"- file: {len(content):,} bytes, SHA-256 `{hashlib.sha256(content).hexdigest()}`",
        "- made by `datapipe train language` from the texts below; equal texts give equal bytes",
        "- `zho` holds all Chinese but Cantonese; Simplified and Traditional are told by characters, not by the model",
        "- `und` stands for languages that it does not know",
        "",
        "## Accuracy of the language step",
        "",
        f"Right / texts, the texts joined and cut to the length in characters, from {judged} it was trained on.",
        "",
        "| language | source | " + " | ".join(map(str, LENGTHS)) + " |",
        "|---|---|" + "---|" * len(LENGTHS),
        *_table(found),
        "",
        "## Texts",
        "",
        "| source | licence | used for | languages | characters |",
        "|---|---|---|---|---|",
        *_sources(held),
        "",
    ]
    return "\n".join(lines)


def _table(found: Sequence[Accuracy]) -> Iterator[str]:
    rows: dict[tuple[str, str], list[Accuracy]] = {}
    for one in found:
        rows.setdefault((one.language, one.source), []).append(one)
    for (language, source), ours in rows.items():
        cells = (f"{one.right / one.tests:.3f} ({one.tests})" if one.tests else "-" for one in ours)
        yield f"| {language} | {source} | " + " | ".join(cells) + " |"


def _sources(held: Sequence[Sample]) -> Iterator[str]:
    sizes: dict[tuple[str, str, bool], tuple[set[str], int]] = {}
    for sample in held:
        languages, size = sizes.get((sample.source, sample.licence, sample.test), (set(), 0))
        sizes[sample.source, sample.licence, sample.test] = languages | {sample.language}, size + len(sample.text)
    for (source, licence, test), (languages, size) in sorted(sizes.items()):
        use = "judging" if test else "training"
        yield f"| {source} | {licence} | {use} | {' '.join(sorted(languages))} | {size:,} |"


def _trained(learnt: Sequence[Sample], shape: Shape) -> HashedModel:
    kept = [sample for sample in learnt if _digest(sample.text) % 10]
    spare = [sample for sample in learnt if _digest(sample.text) % 10 == 0]
    return _fitted(learnt, shape, _temperature(_fitted(kept, shape, 1.0), spare))


def _fitted(samples: Sequence[Sample], shape: Shape, temperature: float) -> HashedModel:
    classes = _classes(samples)
    counts = [count(texts, bits=shape.bits, longest=shape.longest, wide=shape.wide) for texts in classes.values()]
    weights = weigh(np.stack(counts, axis=1), shape.smoothing)
    return HashedModel(tuple(classes), weights, shape.longest, shape.wide, temperature)


def _classes(samples: Sequence[Sample]) -> dict[str, pa.LargeStringArray]:
    """Returns the pieces of each class, by label: a language, or `und` in one script.

    `und` is learnt only for scripts that two languages or more are written in: where there is one, it would be told
    from the others by subject and not by language.
    """
    languages = sorted({sample.language for sample in samples} - {UNDETERMINED})
    classes = {
        language: _pieces([one.text for one in samples if one.language == language], language) for language in languages
    }
    others = cut(
        pa.array([one.text for one in samples if one.language == UNDETERMINED], pa.string()),
        letters=_LETTERS,
        simple=True,
    )
    written = fits(languages).sum(axis=0)
    for group in np.flatnonzero((written > 1) & (np.bincount(others.group, minlength=GROUPS) > 0)).tolist():
        classes[f"{UNDETERMINED}_{SCRIPTS[group]}"] = others.texts.filter(pa.array(others.group == group))
    return classes


def _temperature(model: HashedModel, spare: Sequence[Sample]) -> float:
    """Returns the temperature under which texts set aside, cut to pieces of a usual length, are most probable."""
    losses = np.zeros(len(TEMPERATURES))
    for number, language in enumerate(model.labels):
        texts = list(_joined([one.text for one in spare if one.language == language], 100))
        if not texts:
            continue
        sums, counts = model.sums(_pieces(texts, language))
        logits = sums / np.sqrt(np.maximum(counts, 1))[:, None] / SCALE
        for place, temperature in enumerate(TEMPERATURES):
            losses[place] -= _log_softmax(logits * temperature)[:, number].mean() if len(logits) else 0.0
    return TEMPERATURES[int(losses.argmin())]


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _pieces(texts: Sequence[str], language: str) -> pa.LargeStringArray:
    """Returns the texts as the model reads them, without lines in scripts that are not the language's."""
    pieces = cut(pa.array(texts, pa.string()), letters=_LETTERS, simple=True)
    return pieces.texts.filter(pa.array(fits([language])[0][pieces.group]))


def _joined(texts: Sequence[str], length: int) -> Iterator[str]:
    """Yields texts of `length` characters, made of consecutive ones."""
    held = ""
    for text in texts:
        held = f"{held}\n{text}" if held else text
        if len(held) >= length:
            yield held[:length]
            held = ""


def _sample(line: str, place: str, name: str) -> Sample:
    try:
        row = json.loads(line)
        text, label = row["text"], row["language"]
        role = row.get("role", "train")
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{place}: not a sample ({error!r}); a line is a JSON object with text and language"
        ) from error
    if not isinstance(text, str) or not isinstance(label, str) or not re.fullmatch(r"[a-z]{3}(_[A-Z][a-z]{3})?", label):
        raise ConfigError(f"{place}: language {label!r} is no ISO 639-3 code such as zho, or text is no string")
    if role not in ("train", "test"):
        raise ConfigError(f"{place}: role {role!r} is neither train nor test")
    language = language_of(label)
    return Sample(text, language, str(row.get("source", name)), str(row.get("licence", "not stated")), role == "test")


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as raw:
            unpack = zstandard.ZstdDecompressor()
            stream = unpack.stream_reader(raw, read_across_frames=True) if file.suffix == ".zst" else raw
            yield from io.TextIOWrapper(stream, "utf-8")
    except (OSError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise ConfigError(f"{file}: cannot be read as JSON lines ({error})") from error


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
