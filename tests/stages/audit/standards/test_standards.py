"""What standards ask for, from the run that the tests of the audit share: right, open where it must be, harmless."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from datapipe import ConfigError
from stages.audit.model import Section
from stages.audit.standards.about import About, Use
from stages.audit.standards.answers import Answer
from stages.audit.standards.card import header
from stages.audit.standards.command import standards
from stages.audit.standards.counted import DOMAINS, Sums
from stages.audit.standards.croissant import croissant
from stages.audit.standards.files import described, put, sheets
from stages.audit.standards.forms import cut
from stages.audit.standards.known import Known, know
from tests.stages.audit.standards.names import HOSTILE, bare


def answers(known: Known) -> Iterator[Answer]:
    return (answer for sheet in sheets(known) for _, item in sheet.items for answer in item.answers)


# What is said


def test_what_is_measured_names_figures_that_the_report_has(known: Known) -> None:
    named = {one for answer in answers(known) if answer.state == "measured" for one in answer.keys}
    keys = {one for one in named if re.fullmatch(r"[a-z_]+(\.[a-zA-Z0-9_]+)+", one) and one != "domains.csv"}

    assert keys <= {*known.figures, *known.tables}
    assert len(keys) > 20


def test_what_nobody_said_is_open_and_names_whom_it_asks(known: Known) -> None:
    open_ones = [answer for answer in answers(known) if answer.state == "open"]

    assert len(open_ones) > 50
    assert all("[OPEN: " in answer.words.en and "［待填：" in answer.words.zh for answer in open_ones)


def test_nothing_is_open_but_the_verdicts_where_all_is_said(known: Known, answered: About) -> None:
    said = replace(known, about=answered)

    assert [answer.keys for answer in answers(said) if answer.state == "open"] == [("audit/verdicts",)]
    assert b"[OPEN" not in described(said)["README.md"]


def test_sums_by_source_and_domain_are_those_of_the_index(known: Known, finished: Path) -> None:
    rows = [
        row
        for path in sorted((finished / "corpus/index").glob("documents-*"))
        for row in pq.read_table(path).to_pylist()
    ]
    bytes_of, by_domain = Counter[str](), Counter[str]()
    for row in rows:
        bytes_of[row["source"]] += row["bytes"]
        if row["domain"]:
            by_domain[row["domain"]] += row["bytes"]

    assert {name: known.counted.of(name)["bytes"] for name in known.counted.names} == bytes_of
    ranked = known.counted.ranked(known.counted.names).to_pylist()
    assert [(row["domain"], row["bytes"]) for row in ranked] == sorted(
        by_domain.items(), key=lambda one: (-one[1], one[0])
    )
    assert known.counted.total("documents") == len(rows)


def test_sums_do_not_depend_on_how_rows_come(known: Known) -> None:
    table = known.counted.domains
    whole, apart = Sums(DOMAINS, ("source", "domain")), Sums(DOMAINS, ("source", "domain"), gathered=2)
    whole.add(table)
    for row in reversed(range(len(table))):
        apart.add(table.slice(row, 1))

    assert apart.table().equals(whole.table())


@pytest.mark.parametrize(
    ("domains", "small", "listed"),
    [(0, False, 0), (1, False, 1), (2005, False, 201), (100, True, 5), (30_000, True, 1000)],
)
def test_so_many_domains_are_to_be_listed(domains: int, small: bool, listed: int) -> None:
    assert cut(domains, small) == listed


def test_thresholds_are_told_as_reached_or_not(known: Known, answered: About) -> None:
    few = answered.china.model_copy(update={"technical_passed": 0.97, "keywords": 9_999})
    said = [answer.words.zh for answer in answers(replace(known, about=answered.model_copy(update={"china": few})))]

    assert "9,999 / ≥10,000：数值未达到" in said
    assert "97% / ≥98%：数值未达到" in said
    assert "99% / ≥10%：数值达到" in said


# The card


def test_the_card_is_parsed_by_the_hub_s_own_tools(known: Known, answered: About) -> None:
    from huggingface_hub import DatasetCard

    assert version("huggingface_hub").startswith("2.4.")  # which the card names
    for one in (known, replace(known, about=answered)):
        data = DatasetCard(described(one)["README.md"].decode(), ignore_metadata_errors=False).data

        assert set(data.language) <= {"en", "zh", "lzh", "fr", "de", "ja"}
        assert data.size_categories == ["n<1K"]
        assert data.license in ("other", ["cc0-1.0", "cc-by-4.0", "unknown"])
        assert "annotations_creators" not in data.to_dict()  # of sources it is not known
        assert [one["split"] for one in data.configs[0]["data_files"]] == ["train", "validation"]
        assert data.dataset_info[0]["features"][0] == {"name": "input_ids", "list": "int32", "length": 256}


def test_globs_of_the_card_find_the_shards_of_their_split_alone(known: Known) -> None:
    from fnmatch import fnmatchcase

    names = {shard["split"]: f"corpus/{shard['name']}" for shard in known.manifest["shards"]}
    for file in header(known)["configs"][0]["data_files"]:
        found = {split for split, name in names.items() if fnmatchcase(name, file["path"])}
        assert found == {file["split"]}


# Croissant


def test_every_published_file_is_described_by_its_digest(known: Known) -> None:
    said = json.loads(croissant(known))
    files = {one["@id"]: one["sha256"] for one in said["distribution"] if one["@type"] == "cr:FileObject"}

    assert {name: digest for name, digest in files.items() if name in known.files} == known.files
    assert {"reports/published.json", "reports/report.json"} <= set(files)
    ids = [one["@id"] for kind in ("distribution", "recordSet") for one in said[kind]]
    assert len(ids) == len(set(ids))


def test_steps_are_activities_in_a_row_and_sources_what_they_used(known: Known) -> None:
    said = json.loads(croissant(known))
    steps = said["prov:wasGeneratedBy"]

    assert [one["prov:label"] for one in steps] == [stage["stage"] for stage in known.stages()]
    sources = [{"@id": one["@id"]} for one in said["prov:wasDerivedFrom"]]
    assert steps[0]["prov:used"][: len(sources)] == sources
    assert all(after["prov:wasInformedBy"]["@id"] == before["@id"] for before, after in pairwise(steps))


def test_a_step_says_what_it_did_and_one_that_takes_nothing_out_says_so(known: Known) -> None:
    said = json.loads(croissant(known))["rai:dataPreprocessingProtocol"]

    assert said[-1] == "mix: takes no document out"
    assert not [line for line in said if " also " in line]


def test_benchmarks_are_held_only_where_a_document_that_stayed_holds_some(known: Known) -> None:
    table = known.tables["risk.contamination"]
    keys = [column.key for column in table.columns]

    def limits(documents: int) -> list[str]:
        rows = tuple(
            tuple(documents if key == "documents" else cell for key, cell in zip(keys, row, strict=True))
            for row in table.rows
        )
        section = Section(
            key="risk", title=table.label, intro=table.label, tables=(table.model_copy(update={"rows": rows}),)
        )
        audit = known.audit.model_copy(update={"sections": (section,)})
        found = json.loads(croissant(replace(known, audit=audit)))["rai:dataLimitations"]
        return [line for line in found if "benchmark" in line]

    assert table.rows
    assert limits(0) == []
    assert limits(3)[0].endswith(", in 3 documents [risk.contamination]")


@pytest.mark.parametrize(
    ("use", "kinds"),
    [
        (Use(), None),
        (Use(conditions="for research"), ["sc:CreativeWork"]),
        (Use(prohibited=("sell",)), ["sc:CreativeWork", "odrl:Offer"]),
    ],
)
def test_an_offer_names_what_is_allowed_or_not(known: Known, use: Use, kinds: list[str] | None) -> None:
    said = json.loads(croissant(replace(known, about=About(use=use))))

    assert [one["@type"] for one in said.get("usageInfo", [])] == ([kinds] if kinds else [])


def test_libraries_and_models_of_the_recipe_are_named(known: Known) -> None:
    said = json.loads(croissant(known))
    digests_of = {one["sha256"] for step in known.recipe["stages"] for one in step["resources"]}
    used = {
        one["sha256"] for step in said["prov:wasGeneratedBy"] for one in step.get("prov:used", ()) if "sha256" in one
    }

    assert used == digests_of
    assert said["prov:wasAttributedTo"]["softwareRequirements"] == [
        f"{name} {number}" for name, number in sorted(known.recipe["environment"]["libraries"].items())
    ]


def test_of_very_many_files_a_set_stands_for_each_kind(known: Known) -> None:
    many = {f"signals/part-{number:05}.parquet": f"{number:064x}" for number in range(2000)}
    many |= {f"corpus/index/documents-{number:05}-of-02000.parquet": f"{number:064x}" for number in range(2000)}
    first = known.manifest["shards"][0]["name"]
    kept = {name: digest for name, digest in known.files.items() if name.endswith(first)}
    said = json.loads(
        croissant(replace(known, files={**kept, **{n: d for n, d in many.items() if n.startswith("signals")}}))
    )

    assert len(said["distribution"]) < 20
    assert {"set:signals/*.parquet", "set:samples"} <= {one["@id"] for one in said["distribution"]}


# What stands in the folder


def test_the_same_twice_and_no_place_of_this_machine_in_it(known: Known, finished: Path, told: Path) -> None:
    first, second = described(known), described(know(str(finished), str(told)))

    assert first == second
    assert not [name for name, content in first.items() if str(finished).encode() in content or b"/tmp/" in content]


def test_what_a_person_wrote_or_edited_is_never_replaced(tmp_path: Path) -> None:
    contents = {"README.md": b"ours", "sheets/a.csv": b"a"}
    assert put(contents, str(tmp_path)) == ["README.md", "sheets/a.csv"]
    assert put(contents, str(tmp_path)) == []
    assert put({"README.md": b"ours, later"}, str(tmp_path)) == ["README.md"]
    assert not (tmp_path / "sheets/a.csv").exists()

    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match=r"README\.md: was edited since it was written, and is not replaced"):
        put({"README.md": b"ours again", "croissant.json": b"{}"}, str(tmp_path))
    assert (tmp_path / "README.md").read_text() == "mine"
    assert not (tmp_path / "croissant.json").exists()

    (tmp_path / "sheets/files.json").unlink()
    with pytest.raises(ConfigError, match="was not written by this command"):
        put(contents, str(tmp_path))


def test_the_command_writes_beside_a_run_and_says_what_is_open(
    finished: Path, told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "about.yaml").write_text("name: 示例语料\nsources: {notes: {kind: public_dataset}}\n")
    standards(str(finished), about=str(tmp_path / "about.yaml"), out=str(tmp_path / "out"), report=str(told))

    assert "answers are open" in capsys.readouterr().out
    assert "示例语料" in (tmp_path / "out/README.md").read_text()
    with pytest.raises(ConfigError, match="has no report yet"):
        standards(str(finished), report=str(tmp_path))


# Runs that lack parts


def test_documents_alone_without_any_figure_are_described(tmp_path: Path) -> None:
    made = bare(tmp_path)
    contents = described(made)
    (config, *_) = yaml.safe_load(contents["README.md"].decode().split("---\n")[1])["configs"]

    assert made.counted.total("bytes") == 6 * 10
    assert "| s0 | [OPEN] | not stated | 2 | 36 B | – |" in contents["README.md"].decode()  # no tokens is not 0
    sources = csv.DictReader(io.StringIO(contents["sheets/sources.csv"].decode("utf-8-sig")))
    assert {row["tokens"] for row in sources} == {""}
    assert config["data_files"] == [{"split": "train", "path": "documents/part-*.parquet"}]
    assert "未测量" in contents["sheets/tc260.md"].decode()
    assert [one["@id"] for one in json.loads(contents["croissant.json"])["recordSet"]] == ["documents", "ledger"]


# Strings that may be anybody's


class Page(HTMLParser):
    """The elements of a page, and what stands in its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs


def test_no_string_becomes_markup_of_the_page(hostile: dict[str, bytes], known: Known) -> None:
    page, plain = (Page(one["sheets/index.html"].decode()) for one in (hostile, described(known)))

    assert page.tags["script"] == plain.tags["script"] == 2
    assert page.tags["a"] == plain.tags["a"]
    assert not page.tags["img"]
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]


def test_no_string_becomes_markup_of_a_table(hostile: dict[str, bytes]) -> None:
    for name, content in hostile.items():
        if name.endswith(".md"):
            text = content.decode().rpartition("dataset_info:")[2]  # behind the head, which is data
            text = re.sub(r"(?s)^```.*?^```$", "", text, flags=re.MULTILINE)
            assert "<script" not in text
            assert "](javascript" not in text.replace("\\]", "")
            assert "![d]" not in text
            lines = text.split("\n")
            for before, line in pairwise(lines):
                if before.startswith("| ") and line.startswith("| "):
                    assert len(re.findall(r"(?<!\\)\|", before)) == len(re.findall(r"(?<!\\)\|", line)), line


def test_no_cell_is_a_formula(hostile: dict[str, bytes]) -> None:
    for name, content in hostile.items():
        if name.endswith(".csv"):
            rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
            assert {len(row) for row in rows} == {len(rows[0])}
            assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_head_and_descriptions_stay_data(hostile: dict[str, bytes]) -> None:
    from huggingface_hub import DatasetCard

    records = json.loads(hostile["sheets/data-provenance.json"])

    assert DatasetCard(hostile["README.md"].decode()).data.pretty_name == HOSTILE
    assert json.loads(hostile["croissant.json"])["prov:wasGeneratedBy"][0]["prov:label"] == HOSTILE
    assert f"{HOSTILE}-{HOSTILE}" in records
