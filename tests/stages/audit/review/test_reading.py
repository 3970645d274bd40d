"""Files of verdicts as sheets and spreadsheets save them: what is read of them, and which faults are named where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audit.review.cells import defused
from stages.audit.review.model import Item, Sample, Stratum
from stages.audit.review.reading import Asked, Given, merged, read
from stages.audit.review.spreadsheet import written

IDS = tuple(f"{number:02x}" * 16 for number in range(1, 9))
NUMBER = "12345678901234567890123456789012"  # an id that a spreadsheet takes for a number
ZH = "评审：内容合格"


def sample_of(ids: tuple[str, ...] = (*IDS, NUMBER), name: str = "first") -> Sample:
    """Returns a sample of these documents of one source."""
    facts = {"language": "zho_Hans", "script": "Hans", "format": "prose", "host": None, "url": None, "split": "train"}
    items = tuple(Item.model_validate({"id": key, "source": "web", "characters": 9, **facts}) for key in ids)
    strata = (Stratum(source="web", documents=1000, drawn=len(ids)),)
    parts = {"by": None, "where": (), "text": 400, "documents": 1000, "strata": strata, "items": items}
    return Sample.model_validate({"name": name, "corpus": {}, "seed": 7, "asked": 9, **parts})


SAMPLE = sample_of()
ASKED = Asked({SAMPLE.sha256: SAMPLE})
HEAD = "sample_sha256,number,id,text,verdict,reasons,note,reviewer,role"


def table(*rows: str, head: str = HEAD) -> str:
    """Returns rows `number verdict reasons note` as a sheet filled in; `;` is between reasons."""
    lines = [head]
    for row in rows:
        number, verdict, reasons, note = row.split("|")
        lines.append(
            f'{SAMPLE.sha256},{number},{SAMPLE.items[int(number) - 1].id},"一，\n二",{verdict},{reasons},{note},,'
        )
    return "\r\n".join(lines) + "\r\n"


def one(content: bytes, asked: Asked = ASKED) -> Given:
    """Returns what a file without a fault says."""
    found, faults = read("v.csv", content, asked)
    assert not faults
    assert len(found) == 1
    return found[0]


def faults_of(content: str | bytes, asked: Asked = ASKED) -> list[str]:
    """Returns the faults of a file."""
    return read("v.csv", content if isinstance(content, bytes) else content.encode(), asked)[1]


FILLED = table(f"1|通过||{ZH}", "2|不通过|values; 残留个人信息|", "3|||", "4|不确定||存疑")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_sheet_is_read_in_every_dialect_that_spreadsheets_save(encoding: str, separator: str) -> None:
    text = FILLED.replace("values; 残留个人信息", "values、残留个人信息").replace(",", separator)

    found = one(text.encode(encoding))

    assert found.sample == SAMPLE
    assert [(row.id, row.verdict, row.reasons, row.note) for row in found.rows] == [
        (IDS[0], "pass", (), ZH),
        (IDS[1], "fail", ("values", "personal"), ""),
        (IDS[3], "unsure", (), "存疑"),
    ]
    assert [row.line for row in found.rows] == [2, 4, 8]  # each text has two lines
    assert found.unjudged == 1


def test_traditional_chinese_of_big5_is_not_taken_for_gb18030() -> None:
    found = one(table("1|通過||評審完畢", "2|不合格||").encode("cp950"))

    assert [(row.verdict, row.note) for row in found.rows] == [("pass", "評審完畢"), ("fail", "")]
    assert "Big5" in found.how


def test_columns_may_stand_in_any_order_and_be_called_in_chinese() -> None:
    rows = (f"张三;合格;;{IDS[0].upper()};;x", f'张三;×;看不懂;="{IDS[1]}";not_text，A.2;y')
    text = "\n".join(["sep=;", "评审人;结论;备注;编号;原因;别的", *rows])

    found = one(text.encode("gb18030"))

    assert found.reviewer == "张三"
    assert [(row.line, row.id, row.verdict, row.reasons) for row in found.rows] == [
        (3, IDS[0], "pass", ()),
        (4, IDS[1], "fail", ("discrimination", "not_text")),
    ]


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("PASS ", "pass"),
        ("ｐ", "pass"),
        ("√", "pass"),
        ("2", "fail"),
        ("未通过", "fail"),
        ("待定", "unsure"),
        ("？", "unsure"),
    ],
)
def test_verdicts_may_be_written_as_people_do(word: str, verdict: str) -> None:
    assert one(table(f"1|{word}||").encode()).rows[0].verdict == verdict


def test_an_id_that_a_spreadsheet_rounded_is_known_by_its_number() -> None:
    text = table("9|fail|copy|").replace(NUMBER, "1.23457E+31")

    assert one(text.encode()).rows[0].id == NUMBER
    assert "is no id" in faults_of(text.replace(",9,", ",8,"))[0]  # document 8 is no such number


def test_a_mark_against_formulas_is_no_part_of_a_note() -> None:
    assert one(table("1|fail||'=1+1", "2|fail||'twas").encode()).rows[0].note == "=1+1"
    assert one(table("2|fail||'twas").encode()).rows[0].note == "'twas"


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30))
def test_whatever_is_typed_into_a_note_comes_back(note: str) -> None:
    content = written(("note", "verdict", "id"), [(defused(note), "fail", IDS[0]), ("", "pass", IDS[1])])

    assert [row.note for row in one(content).rows] == [note.strip(), ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "v.csv: is empty"),
        ("PK\x03\x04[Content_Types].xml", "v.csv: is an Excel workbook; save it as CSV UTF-8"),
        ("\ufeff <!DOCTYPE html>", "v.csv: is a page, perhaps the sheet itself"),
        ("a,b\n1,2\n", "v.csv: has no heading with the columns id and verdict"),
        (f"id,verdict,id\n{IDS[0]},pass,x\n", "v.csv:1: has two columns for id"),
        (f'id,verdict,note\n{IDS[0]},pass,"open\n', "v.csv:2: cannot be read as UTF-8, separated by commas ("),
        (f"id,verdict\n{IDS[0]},maybe\n", "v.csv:2: 'maybe' is no verdict; verdicts are pass ("),
        (f"id,verdict\n{IDS[0]},yes\n", "v.csv:2: 'yes' is no verdict"),
        (f"id,verdict,reasons\n{IDS[0]},fail,ugly\n", "v.csv:2: 'ugly' is no reason; reasons are values, "),
        (f"id,verdict,reasons\n{IDS[0]},pass,copy\n", "v.csv:2: passes, and gives reasons why not (copy)"),
        (f"id,verdict,reasons\n{IDS[0]},,copy\n", "v.csv:2: gives reasons and no verdict"),
        (f"id,verdict\n00ff,pass\n{IDS[0]},p\n", "v.csv:2: '00ff' is no id of a document"),
        (f"id,verdict\n{IDS[0]},pass\n{IDS[1]},fail\n{IDS[0]},pass\n", f"v.csv:4: document {IDS[0]} is judged in"),
        (f"id,verdict\n{IDS[0]},pass\n{'ee' * 16},pass\n", "v.csv: does not say of which sample it is"),
        (f"sample,id,verdict\n{SAMPLE.sha256},{'ee' * 16},pass\n", f"v.csv:2: document {'ee' * 16} is not of"),
        (f"sample,id,verdict\n{'aa' * 32},{IDS[0]},pass\n", "v.csv: is of the sample aaaaaaaaaaaa…, which is"),
        (f"sample,id,verdict\n{'aa' * 32},{IDS[0]},p\n{'bb' * 32},{IDS[1]},p\n", "v.csv: names 2 samples (first in"),
        (f"id,verdict\n{IDS[0]},\n", "v.csv: holds no verdict"),
        (f"id,verdict,note\n{IDS[0]},pass,a,b,c\n", "v.csv:2: has 2 cells beyond the heading"),
        (f"id,verdict,note\n{IDS[0]},pass,{'x' * 2001}\n", "v.csv:2: its note has 2,001 characters"),
        (f"id,verdict,reviewer\n{IDS[0]},pass,A\n{IDS[1]},pass,B\n{IDS[2]},pass,\n", "v.csv:4: names no reviewer, and"),
        ("\x1b[2J,id;verdict\x00\n", "v.csv: has no heading"),
    ],
)  # fmt: skip
def test_every_fault_of_a_table_is_named_with_its_line(text: str, said: str) -> None:
    found = faults_of(text)

    assert found[0].startswith(said)
    assert "\x1b" not in "".join(found)


def test_several_reviewers_of_one_table_are_kept_apart() -> None:
    text = f"id,verdict,reviewer,role\n{IDS[0]},pass,Ann,law\n{IDS[0]},fail,Bo,\n{IDS[1]},pass, ann ,\n{IDS[2]},,,\n"

    found, faults = read("v.csv", text.encode(), ASKED)

    assert not faults
    assert "names 2 reviewers, so" in faults_of(text, Asked(ASKED.samples, None, "", "law"))[0]
    assert [(one.reviewer, one.role, len(one.rows)) for one in found] == [("Ann", "law", 2), ("Bo", "", 1)]


def saved(**changed: object) -> bytes:
    """Returns what a sheet saves, changed."""
    verdicts = [
        {"id": IDS[0], "verdict": "pass"},
        {"id": IDS[1], "verdict": "fail", "reasons": ["copy"], "note": "再看"},
    ]
    whole = {"format": "datapipe-verdicts", "format_version": 1, "sample_sha256": SAMPLE.sha256, "reviewer": "Ann"}
    return json.dumps({**whole, "role": "editor", "verdicts": verdicts, **changed}, indent=1).encode()


def test_what_a_sheet_saves_is_read() -> None:
    found = one(saved())

    assert (found.reviewer, found.role, found.how) == ("Ann", "editor", "JSON of a sheet")
    assert [(row.id, row.verdict, row.reasons, row.note) for row in found.rows] == [
        (IDS[0], "pass", (), ""),
        (IDS[1], "fail", ("copy",), "再看"),
    ]
    assert one(saved(), Asked({}, SAMPLE)).sample == SAMPLE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved()[:-90], "v.csv:13: is not JSON"),
        (saved(format="other"), "v.csv: format: Input should be 'datapipe-verdicts' ('other')"),
        (saved(format_version=2), "v.csv: format_version: "),
        (saved(verdicts=[]), "v.csv: holds no verdict"),
        (saved(verdicts=[{"id": IDS[0], "verdict": "good"}]), "v.csv:9: verdicts.0.verdict: "),
        (saved(verdicts=[{"id": IDS[0], "verdict": "fail", "reasons": ["x"]}]), "v.csv:9: 'x' is no reason"),
        (saved(verdicts=[{"id": IDS[0], "verdict": "pass"}] * 2), f"v.csv:13: document {IDS[0]} is judged in line 9"),
        (
            saved(sample_sha256="aa" * 32),
            "v.csv: is of the sample aaaaaaaaaaaa…, which is not in this folder (there: fir",
        ),
        (saved().replace(b'"role"', b'"reviewer"'), "v.csv: is not JSON that a sheet saves ('reviewer' stands twice"),
        (b"[" * 100_000, "v.csv: is not JSON"),
        (b"[1]", "v.csv: the file: Input should be a valid dictionary"),
        (saved(reviewer="\ud800"), "v.csv: is not JSON that a sheet saves ('utf-8' codec"),
    ],
)
def test_every_fault_of_what_a_sheet_saved_is_named(content: bytes, said: str) -> None:
    assert faults_of(content)[0].startswith(said)


def test_the_command_line_says_what_a_file_does_not_and_nothing_else() -> None:
    bare = f"id,verdict\n{IDS[0]},pass\n".encode()
    other = sample_of(IDS, "second")

    assert one(bare, Asked(ASKED.samples, None, "Ann", "law")).reviewer == "Ann"
    assert "names Ann, and --reviewer is Bo" in faults_of(saved(), Asked(ASKED.samples, None, "Bo"))[0]
    assert "cannot be told; name it by --sample" in faults_of(bare, Asked({**ASKED.samples, other.sha256: other}))[0]
    assert one(bare, Asked({**ASKED.samples, other.sha256: other}, other)).sample == other
    assert "--sample is" in faults_of(saved(), Asked(ASKED.samples, other))[0]


def test_parts_of_one_reviewer_are_one_unless_they_judge_a_document_twice() -> None:
    first, second = one(table("1|p||").encode()), one(table("2|f||").encode())
    faults: list[str] = []

    assert [row.id for row in merged([first, second], faults).rows] == [IDS[0], IDS[1]]
    assert not faults
    merged([first, one(table("1|p||", "3|p||").encode())], faults)
    assert [said.partition(";")[0] for said in faults] == [
        f"v.csv:2: document {IDS[0]} is judged in v.csv:2 too, by the same reviewer"
    ]
