"""Contact details in text: web addresses, telephone numbers, and account names after the name of a messenger.

- an address is `http://`, `https://`, or `www.` that neither of them introduces;
- a telephone number is digits, in groups joined by `-`: eleven that begin with 13 to 19, or ten to twelve that begin
  with 0, 400 or 800;
- an account is a word of at least five characters with a digit among the three words after QQ, VX, WX, WeChat, Weixin
  or 微信 (also 薇信, 扣扣); one account a name.

`phrases.may_matter` says at which words it is worth looking.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from stages.quality.counts import Count
from stages.quality.decoding import Bytes, Number

MESSENGERS_LATIN = ("qq", "vx", "wx", "wechat", "weixin")
MESSENGERS_HAN = ("微信", "薇信", "扣扣")
ACCOUNT_WORDS = 3
ACCOUNT_CHARACTERS = 5
_WEIXIN, _WEIXIN_TOO, _KOUKOU = (ord(name[0]) << 16 | ord(name[1]) for name in MESSENGERS_HAN)
_NAMES = np.array([int.from_bytes(name.encode()) for name in MESSENGERS_LATIN])
_LONGEST_NAME = max(map(len, MESSENGERS_LATIN))
_HTTP, _HTTPS, _WWW = (int.from_bytes(name) for name in (b"http", b"https", b"www"))
_LOWER = 32

# Where the search stands in a document: places in an int64[STATE].
_ACCOUNT_UNTIL = 0  # an account is looked for up to this word
_DIGITS = 1  # digits of the number, over its groups so far
_BEGIN = 2  # byte at which the number begins
_END = 3  # byte at which its last group ends
STATE = 4


@njit(cache=True, nogil=True)
def expect_account(word: int, state: NDArray[np.int64]) -> None:
    """Says that the word of that number in the document names a messenger."""
    state[_ACCOUNT_UNTIL] = word + ACCOUNT_WORDS


@njit(cache=True, nogil=True)
def names_messenger(first: Number, second: Number) -> bool:
    """Returns whether two Han in a row name a messenger."""
    pair = first << 16 | second
    return bool(pair == _WEIXIN or pair == _WEIXIN_TOO or pair == _KOUKOU)


@njit(cache=True, nogil=True)
def find_contact(
    data: Bytes,
    start: int,
    begin: int,
    end: int,
    stop: int,
    width: int,
    word: int,
    state: NDArray[np.int64],
    row: NDArray[np.int64],
) -> None:
    """Counts the contact or address that the word data[begin:end] of the document data[start:stop] completes.

    `width` are the word's characters, `word` is its number in the document.
    """
    digits = 0
    for at in range(begin, end):
        digits += 48 <= data[at] <= 57
    if digits > 0 and width >= ACCOUNT_CHARACTERS and word <= state[_ACCOUNT_UNTIL]:
        row[Count.CONTACTS] += 1
        state[_ACCOUNT_UNTIL] = 0
    elif digits == end - begin:
        _count_telephone(data, begin, end, stop, state, row)
    elif digits == 0:
        _count_name(data, start, begin, end, stop, word, state, row)


@njit(cache=True, nogil=True)
def _count_telephone(
    data: Bytes, begin: int, end: int, stop: int, state: NDArray[np.int64], row: NDArray[np.int64]
) -> None:
    if state[_DIGITS] > 0 and state[_END] == begin - 1 and data[begin - 1] == 45:
        state[_DIGITS] += end - begin
    else:
        state[_DIGITS] = end - begin
        state[_BEGIN] = begin
    state[_END] = end
    goes_on = end + 1 < stop and data[end] == 45 and 48 <= data[end + 1] <= 57
    if not goes_on and 10 <= state[_DIGITS] <= 12:
        row[Count.CONTACTS] += _begins_telephone(data, state[_BEGIN], state[_DIGITS])


@njit(cache=True, nogil=True)
def _begins_telephone(data: Bytes, at: int, digits: int) -> bool:
    first, second, third = data[at], data[at + 1], data[at + 2]
    if first == 49:
        return bool(digits == 11 and 51 <= second <= 57)
    return bool(first == 48 or ((first == 52 or first == 56) and second == 48 and third == 48))


@njit(cache=True, nogil=True)
def _count_name(
    data: Bytes,
    start: int,
    begin: int,
    end: int,
    stop: int,
    word: int,
    state: NDArray[np.int64],
    row: NDArray[np.int64],
) -> None:
    if end - begin > _LONGEST_NAME:
        return
    name = np.int64(0)
    for at in range(begin, end):
        name = name << 8 | np.int64(data[at] | _LOWER)
    if name == _HTTP or name == _HTTPS:
        row[Count.ADDRESSES] += end + 2 < stop and data[end] == 58 and data[end + 1] == 47 and data[end + 2] == 47
    elif name == _WWW:
        introduced = begin > start and data[begin - 1] == 47
        row[Count.ADDRESSES] += end < stop and data[end] == 46 and not introduced
    else:
        for known in _NAMES:
            if name == known:
                expect_account(word, state)
