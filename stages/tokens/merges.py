"""Merges of byte-pair encoding, learnt from counted words: the algorithm of `tokenizers`' BpeTrainer, pair for pair.

The most frequent pair of neighbours becomes a token, the one of lowest ids where several are; counts follow from the
words that hold it, and a queue holds pairs by the count that they had when they were last looked at. Memory is about 20
bytes a byte of different words.

Source: Sennrich, Haddow and Birch 2016, arXiv 1508.07909, algorithm 1; the queue with stale counts, and where ties go,
as in huggingface/tokenizers (Apache-2.0), models/bpe/trainer.rs, to which the result is equal.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.tokens.words import Bytes, Number, find, room

Pairs = tuple[np.ndarray, np.ndarray, int]  # keys, int64[a power of two], their counts, and how many there are
_FREE = np.int64(-1)
_WIDTH = np.int64(32)
_LOW = np.int64(0xFFFFFFFF)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_TOP = np.uint64(32)


@njit(cache=True, nogil=True)
def _pair_slot(keys: np.ndarray, key: Number) -> Number:
    """Returns the slot of a pair, or the free one where it would be; `keys` is int64[a power of two]."""
    mask = len(keys) - 1
    slot = np.int64(np.uint64(key) * _SPREAD >> _TOP) & mask
    while keys[slot] != key and keys[slot] != _FREE:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def _grown(keys: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a table of pairs and their counts of twice the size."""
    wide, counts = np.full(2 * len(keys), _FREE, np.int64), np.zeros(2 * len(keys), np.int64)
    for slot in range(len(keys)):
        if keys[slot] != _FREE:
            place = _pair_slot(wide, keys[slot])
            wide[place], counts[place] = keys[slot], sums[slot]
    return wide, counts


@njit(cache=True, nogil=True)
def _before(queue: np.ndarray, one: int, other: int) -> bool:
    """Whether row `one` of the queue (count, pair, start, size) comes before row `other`."""
    if queue[one, 0] != queue[other, 0]:
        return bool(queue[one, 0] > queue[other, 0])
    return bool(queue[one, 1] < queue[other, 1])


@njit(cache=True, nogil=True)
def _swap(queue: np.ndarray, one: int, other: int) -> None:
    for column in range(4):
        queue[one, column], queue[other, column] = queue[other, column], queue[one, column]


@njit(cache=True, nogil=True)
def _sink(queue: np.ndarray, size: int) -> None:
    place = 0
    while True:
        first = place
        for child in range(2 * place + 1, 2 * place + 3):
            if child < size and _before(queue, child, first):
                first = child
        if first == place:
            return
        _swap(queue, place, first)
        place = first


@njit(cache=True, nogil=True)
def _put(queue: np.ndarray, size: int, count: int, key: int, start: int, many: int) -> None:
    """Puts a row into the queue of `size` rows."""
    queue[size, 0], queue[size, 1], queue[size, 2], queue[size, 3] = count, key, start, many
    while size and _before(queue, size, (size - 1) // 2):
        _swap(queue, size, (size - 1) // 2)
        size = (size - 1) // 2


@njit(cache=True, nogil=True)
def _spell(text: Bytes, at: Number, start: Number, size: Number) -> None:
    """Writes text[start:start + size] at byte `at`."""
    for step in range(size):
        text[at + step] = text[start + step]


@njit(cache=True, nogil=True)
def _named(text: Bytes, starts: np.ndarray, sizes: np.ndarray, vocab_size: int) -> np.ndarray:
    """Returns the table by which a token is found by its bytes, with those there are."""
    width = 1
    while width < 4 * vocab_size:
        width *= 2
    slots = np.full(width, -1, np.int32)
    for token in range(len(starts)):
        if sizes[token]:
            slots[find(text, starts[token], np.int64(sizes[token]), text, starts, sizes, slots)] = token
    return slots


@njit(cache=True, nogil=True)
def _pair(symbols: np.ndarray, place: Number) -> Number:
    """Returns the pair of the symbols before and at a place."""
    return np.int64(symbols[place - 1]) << _WIDTH | np.int64(symbols[place])


@njit(cache=True, nogil=True)
def _counted(symbols: np.ndarray, begins: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> Pairs:
    """Returns the pairs of the words and how often each is there, as a table."""
    keys, sums, pairs = np.full(1 << 12, _FREE, np.int64), np.zeros(1 << 12, np.int64), 0
    for word in range(len(ends)):
        for place in range(begins[word] + 1, ends[word]):
            key = _pair(symbols, place)
            slot = _pair_slot(keys, key)
            pairs += keys[slot] == _FREE
            keys[slot] = key
            sums[slot] += counts[word]
            if 2 * pairs > len(keys):
                keys, sums = _grown(keys, sums)
    return keys, sums, pairs


@njit(cache=True, nogil=True)
def _placed(
    symbols: np.ndarray, begins: np.ndarray, ends: np.ndarray, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the words that hold each pair, in a row, and where those of a slot begin, int64[slots + 1]."""
    uses = np.zeros(len(keys) + 1, np.int64)
    for word in range(len(ends)):
        for place in range(begins[word] + 1, ends[word]):
            uses[_pair_slot(keys, _pair(symbols, place)) + 1] += 1
    for slot in range(len(keys)):
        uses[slot + 1] += uses[slot]
    places, filled = np.empty(uses[-1] + 1, np.int32), uses.copy()
    for word in range(len(ends)):
        for place in range(begins[word] + 1, ends[word]):
            held = _pair_slot(keys, _pair(symbols, place))
            places[filled[held]] = word
            filled[held] += 1
    return places, uses


@njit(cache=True, nogil=True)
def _merge(
    symbols: np.ndarray,
    begin: Number,
    stop: Number,
    merge: tuple[Number, Number, Number],
    weight: Number,
    keys: np.ndarray,
    sums: np.ndarray,
    fresh: np.ndarray,
    found: int,
) -> tuple[Number, int, int]:
    """Merges (left, right, token) in a word, counts what pairs go and come, and writes these to `fresh` from `found`.

    Returns where the word ends now, the end of what is found, and how many pairs are new in the table.
    """
    left, right, token = merge
    read = write = begin
    new_pairs = 0
    while read < stop:
        if symbols[read] != left or read + 1 >= stop or symbols[read + 1] != right:
            symbols[write] = symbols[read]
            read, write = read + 1, write + 1
            continue
        for side in range(2):  # the neighbour before, and the one behind
            if side == 0 and write > begin:
                other = np.int64(symbols[write - 1])
                old, new = other << _WIDTH | left, other << _WIDTH | token
            elif side == 1 and read + 2 < stop:
                other = np.int64(symbols[read + 2])
                old, new = right << _WIDTH | other, token << _WIDTH | other
            else:
                continue
            sums[_pair_slot(keys, old)] -= weight
            slot = _pair_slot(keys, new)
            new_pairs += keys[slot] == _FREE
            keys[slot] = new
            sums[slot] += weight
            fresh[found] = new
            found += 1
        symbols[write] = token
        read, write = read + 2, write + 1
    return write, found, new_pairs


@njit(cache=True, nogil=True)
def _side(key: Number, token: Number, vocab_size: int) -> Number:
    """Returns a number of a pair that holds `token`: of the other token, before it or behind it."""
    left, right = key >> _WIDTH, key & _LOW
    return left if right == token else vocab_size + 1 + right


@njit(cache=True, nogil=True)
def _lay(
    fresh: np.ndarray, words: np.ndarray, token: Number, tally: np.ndarray, places: np.ndarray, used: Number
) -> np.ndarray:
    """Lays the words of each of the pairs `fresh` together in `places`, from `used`.

    Returns int64[pairs, 3]: a pair, where its words begin and how many they are. `tally` is all 0 before and after.
    """
    size, pairs = (len(tally) - 2) // 2, 0
    for key in fresh:
        side = _side(key, token, size)
        pairs += tally[side] == 0
        tally[side] += 1
    rows, row = np.empty((pairs, 3), np.int64), 0
    for at in range(len(fresh)):
        side = _side(fresh[at], token, size)
        if tally[side] > 0:  # met first: from here on it is -1 less the place to be filled next
            rows[row, 0], rows[row, 1], rows[row, 2] = fresh[at], used, tally[side]
            row += 1
            used += tally[side]
            tally[side] = tally[side] - used - 1
        places[-tally[side] - 1] = words[at]
        tally[side] -= 1
    for key in fresh:
        tally[_side(key, token, size)] = 0
    return rows


@njit(cache=True, nogil=True)
def _queue_room(queue: np.ndarray, size: Number) -> np.ndarray:
    """Returns the queue with room for `size` rows."""
    if size <= len(queue):
        return queue
    wide = np.empty((max(size, 2 * len(queue)), 4), np.int64)
    for row in range(len(queue)):
        for column in range(4):
            wide[row, column] = queue[row, column]
    return wide


@njit(cache=True, nogil=True)
def merges(
    symbols: np.ndarray,
    ends: np.ndarray,
    counts: np.ndarray,
    text: Bytes,
    starts: np.ndarray,
    sizes: np.ndarray,
    vocab_size: int,
) -> np.ndarray:
    """Returns the pairs that are merged, in order, and what each becomes: int32[merges, 3].

    `symbols`, int32, are the tokens of the words, up to `ends`, int64[words]; both are written over. `counts` is
    int64[words]. The first tokens are `text[starts:starts + sizes]`, uint8, int64[tokens] and int32[tokens]; those of
    size 0 are never met. A merge that spells a token which is there already becomes that one.
    """
    slots, tokens, written = _named(text, starts, sizes, vocab_size), len(starts), np.int64(len(text))
    starts, sizes = room(starts, vocab_size + 1), room(sizes, vocab_size + 1)
    begins = np.zeros(len(ends), np.int64)
    for word in range(1, len(ends)):
        begins[word] = ends[word - 1]
    keys, sums, pairs = _counted(symbols, begins, ends, counts)
    places, uses = _placed(symbols, begins, ends, keys)
    queue, queued, used = np.empty((2 * pairs + 16, 4), np.int64), 0, uses[-1]
    for slot in range(len(keys)):
        if keys[slot] != _FREE:
            _put(queue, queued, sums[slot], keys[slot], uses[slot], uses[slot + 1] - uses[slot])
            queued += 1

    made, done = np.empty((vocab_size, 3), np.int32), 0
    fresh, words = np.empty(1 << 10, np.int64), np.empty(1 << 10, np.int32)
    tally = np.zeros(2 * vocab_size + 2, np.int64)
    while queued and tokens < vocab_size:
        count, key, first, many = queue[0, 0], queue[0, 1], queue[0, 2], queue[0, 3]
        now = sums[_pair_slot(keys, key)]
        if now != count:
            queue[0, 0] = now
            _sink(queue, queued)
            continue
        if count < 1:
            break
        queued -= 1
        _swap(queue, 0, queued)
        _sink(queue, queued)

        left, right = key >> _WIDTH, key & _LOW
        size = np.int64(sizes[left]) + np.int64(sizes[right])
        text = room(text, written + size)
        _spell(text, written, starts[left], sizes[left])
        _spell(text, written + sizes[left], starts[right], sizes[right])
        starts[tokens], sizes[tokens] = written, size
        name = find(text, written, size, text, starts, sizes, slots)
        if slots[name] < 0:
            slots[name] = tokens
            tokens, written = tokens + 1, written + size
        token = np.int64(slots[name])
        made[done, 0], made[done, 1], made[done, 2] = left, right, token
        done += 1

        found = 0
        for at in range(first, first + many):
            word = places[at]
            most = 2 * (ends[word] - begins[word])
            fresh, words = room(fresh, found + most), room(words, found + most)
            while 2 * (pairs + most) > len(keys):
                keys, sums = _grown(keys, sums)
            before, merge = found, (left, right, token)
            ends[word], found, new = _merge(
                symbols, begins[word], ends[word], merge, counts[word], keys, sums, fresh, found
            )
            pairs += new
            for place in range(before, found):
                words[place] = word
        places = room(places, used + found)
        rows = _lay(fresh[:found], words, token, tally, places, used)
        used += found
        queue = _queue_room(queue, queued + len(rows))
        for row in range(len(rows)):
            now = sums[_pair_slot(keys, rows[row, 0])]
            if now > 0:
                _put(queue, queued, now, rows[row, 0], rows[row, 1], rows[row, 2])
                queued += 1
    return made[:done].copy()
