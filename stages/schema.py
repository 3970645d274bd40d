"""The columns that stages share: name, type, unit, meaning. One name a thing, from config key to report."""

import pyarrow as pa

ID = pa.binary(16)


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning})


DOCUMENT = pa.schema(
    [
        _field("id", ID, "128-bit hash of source name, path relative to the source's root, position of the record"),
        _field("source", pa.string(), "name of the source in the config"),
        _field("url", pa.string(), "address the document was fetched from, null where it has none"),
        _field("canonical_url", pa.string(), "normal form of the address that the page calls canonical, else of url"),
        _field("host", pa.string(), "host of the url, lower case"),
        _field("domain", pa.string(), "registrable domain of the host by the Public Suffix List"),
        _field("licence", pa.string(), "licence as the source states it"),
        _field("crawl_time", pa.int64(), "time of the crawl (epoch seconds UTC)"),
        _field("crawl_date", pa.string(), "time of the crawl (ISO 8601)"),
        _field("file", pa.string(), "file of the source, relative to its root"),
        _field(
            "offset",
            pa.int64(),
            "place of the record in the file: bytes, those of its member where compressed; rows for Parquet and Arrow",
        ),
        _field("title", pa.string(), "title as the page states it"),
        _field("author", pa.string(), "author as the page states it, several joined by a comma"),
        _field("published", pa.string(), "date of publication as the page states it (ISO 8601: a date, or with time)"),
        _field(
            "truncated",
            pa.string(),
            "why the crawler did not store all of the page: length, time, disconnect, unspecified; null if it did",
        ),
        _field(
            "robots",
            pa.string(),
            "directives of X-Robots-Tag and meta robots, sorted; those for one crawler as 'googlebot:noindex'",
        ),
        _field("no_ai", pa.bool_(), "whether the page asks not to be trained on; null where there is only text"),
        _field("no_ai_by", pa.string(), "by which signals: content-signal, content-usage, noai, tdm-reservation, …"),
        _field("charset", pa.string(), "charset that the bytes were read with"),
        _field("charset_by", pa.string(), "how it was decided: bom, utf-8, http, meta, detected, fallback, or given"),
        _field("charset_declared", pa.string(), "charset that HTTP, or else the page, states; null where none does"),
        _field("charset_detected", pa.string(), "charset that the bytes look like, null where it was not looked for"),
        _field("extra", pa.string(), "the source's own fields, as a JSON object"),
        _field("text", pa.string(), "main text, NFC, without controls"),
        _field("text_digest", ID, "BLAKE2b-128 of the text's UTF-8"),
    ]
)
LANGUAGE = pa.schema(
    [
        _field("language", pa.string(), "ISO 639-3 and script (zho_Hans, eng_Latn), mixed, or und"),
        _field("language_score", pa.float32(), "probability of that language, rounded to 1/1024"),
        _field("script", pa.string(), "ISO 15924 script of most letters (Hans, Hant, Latn, …)"),
        _field(
            "language_shares",
            pa.string(),
            "share of the characters by language, most first: 'zho_Hans:0.71 eng_Latn:0.29'",
        ),
        _field(
            "language_spans",
            pa.string(),
            "which lines are in which, 'zho_Hans:0-3 eng_Latn:4-9' (from 0, last included); null for one language",
        ),
    ]
)
FORMAT = pa.schema(
    [
        _field("format", pa.string(), "prose, code, table, list, dialogue, qa, poetry or navigation"),
        _field("format_score", pa.float32(), "share of the text that looks so, rounded to 1/1024"),
    ]
)
QUALITY = pa.schema([_field("quality", pa.float32(), "score of a quality classifier, NaN where none has run")])
CONTAMINATION = pa.schema(
    [
        _field(
            "contamination", pa.string(), "benchmarks of which it holds items, and how many: 'gsm8k:1 mmlu:2'; or null"
        )
    ]
)
SAFETY = pa.schema(
    [
        _field(
            "adult_density",
            pa.float32(),
            "weighted hits of adult terms, less their context, a 1,000 of weighted length",
        ),
        _field("adult_terms", pa.int32(), "distinct adult terms that tell (weight 2 or 3)"),
        _field(
            "spam_density", pa.float32(), "as adult_density, of what advertises gambling, loans, invoices, pills, …"
        ),
        _field("spam_terms", pa.int32(), "distinct terms of that"),
        _field("insult_density", pa.float32(), "weighted hits of insults a 1,000 of weighted length; a signal only"),
    ]
)
PII = pa.schema([_field("pii", pa.int32(), "personal details that were masked in the text, or for which it left")])
CLUSTER = pa.schema(
    [
        _field("cluster", ID, "id of the survivor of the document's duplicate cluster: its own where it has none"),
        _field("cluster_size", pa.int32(), "documents in that cluster before it was reduced to its survivor"),
    ]
)
REPEATS = pa.schema(
    [
        _field(
            "repeated_ratio",
            pa.float32(),
            "share of its tokens, before any was cut, in long stretches that other text holds too, rounded to 1/1024",
        )
    ]
)
WEIGHT = pa.schema([_field("weight", pa.int32(), "how often to sample it, by its cluster_size, next to those of 1")])
TOKENS = pa.schema(
    [
        _field("input_ids", pa.list_(pa.int32()), "token ids of the text, with BOS and EOS as the step says"),
        _field("tokens", pa.int32(), "their number"),
        _field("bytes", pa.int64(), "of the text that they are of, in UTF-8"),
        _field("characters", pa.int32(), "code points of that text"),
    ]
)
