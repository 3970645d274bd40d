"""What is counted in a document: the columns of `int64[documents, COUNTS]` that the kernels fill.

The first `KINDS` columns are the characters of each kind, the others are named here. Signals are quotients of these.
"""

from enum import IntEnum

from stages.quality.characters import KINDS


class Count(IntEnum):
    """Columns after those of the kinds."""

    WORDS = KINDS  # units: a letter of an unspaced script, or a run of other letters and digits
    WORD_CHARACTERS = KINDS + 1
    ALPHABETIC_WORDS = KINDS + 2  # units with a letter
    STOP_WORDS = KINDS + 3  # distinct ones of Gopher's eight
    SENTENCES = KINDS + 4
    ELLIPSES = KINDS + 5  # three dots; the character … has a kind
    DISTINCT_HAN = KINDS + 6
    VERSE_HAN = KINDS + 7  # Han that stand in lines of verse
    CONTACTS = KINDS + 8  # telephone numbers and messenger accounts
    ADDRESSES = KINDS + 9  # web addresses
    LINES = KINDS + 10  # that are not blank
    LINE_CHARACTERS = KINDS + 11  # without blank lines and the space around lines
    BULLET_LINES = KINDS + 12
    ELLIPSIS_LINES = KINDS + 13
    CLOSED_LINES = KINDS + 14
    TABLE_LINES = KINDS + 15
    SHORT_LINES = KINDS + 16  # of at most SHORT_LINE characters
    SHORT_LINE_CHARACTERS = KINDS + 17  # that stand in lines of less than TINY_LINE characters
    DUPLICATE_LINES = KINDS + 18
    DUPLICATE_LINE_CHARACTERS = KINDS + 19
    PARAGRAPHS = KINDS + 20  # lines between blank lines
    DUPLICATE_PARAGRAPHS = KINDS + 21
    DUPLICATE_PARAGRAPH_CHARACTERS = KINDS + 22
    TOP_GRAMS = KINDS + 23  # characters of the most frequent 2-, 3- and 4-gram of units, in three columns
    DUPLICATE_GRAMS = KINDS + 26  # characters that repeated 5- to 10-grams cover, in six columns
    REPEATED_SHINGLES = KINDS + 32  # characters that repeated runs of units of 13 characters cover
    STOP_HAN = KINDS + 33  # distinct ones of FineWeb-2's Chinese stop words
    PUNCTUATED_LINES = KINDS + 34  # that end as FineWeb and FineWeb-2 want it
    CAPITAL_LINES = KINDS + 35  # more than half of whose characters are A to Z
    LOREM_IPSUM = KINDS + 36
    C4_SENTENCES = KINDS + 37  # in lines that C4 keeps
    C4_SENTENCES_WIDE = KINDS + 38  # the same where Chinese punctuation may end a line too


COUNTS = int(Count.C4_SENTENCES_WIDE) + 1

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
STOP_HAN = "的年在月是和日了於為有被人中为他與後也而由"
SHORT_LINE = 30
TINY_LINE = 10
SHINGLE = 13
VERSE_LINE = 32  # a longer line is no verse (Han), nor is one whose clauses have more than 7.5 Han on average
VERSE_CLAUSE = (3, 8)
WINDOW = 1 << 20  # units, and lines, among which repetition is looked for: it bounds the memory of a huge document
