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

    `symbols`, int32, are the tokens of the words, up to `ends`, int64[words], and are written over; `counts` is
    int64[words]. The first tokens are `text[starts:starts + sizes]`, uint8, int64[tokens] and int32[tokens]; those of
    size 0 are never met. A merge that spells a token which is there already becomes that one.
    """
    tokens = len(starts)
    text = room(text, 16 * vocab_size)
    written = np.int64(0)
    for token in range(tokens):
        written = max(written, starts[token] + sizes[token])
    starts, sizes = room(starts, vocab_size + 1), room(sizes, vocab_size + 1)
    names = 1
    while names < 4 * vocab_size:
        names *= 2
    slots = np.full(names, -1, np.int32)
    for token in range(tokens):
        if sizes[token]:
            slots[find(text, starts[token], np.int64(sizes[token]), text, starts, sizes, slots)] = token
    lengths = np.empty(len(ends), np.int32)
    begins = np.empty(len(ends), np.int64)
    begin = np.int64(0)
    keys, sums, pairs = np.full(1 << 12, _FREE, np.int64), np.zeros(1 << 12, np.int64), 0
    for word in range(len(ends)):
        begins[word], lengths[word] = begin, ends[word] - begin
        for place in range(begin + 1, ends[word]):
            key = np.int64(symbols[place - 1]) << _WIDTH | np.int64(symbols[place])
            slot = _pair_slot(keys, key)
            if keys[slot] == _FREE:
                keys[slot] = key
                pairs += 1
            sums[slot] += counts[word]
            if 2 * pairs > len(keys):
                keys, sums = _grown(keys, sums)
        begin = ends[word]

    # Which words hold a pair: runs of `places`, one for each row of the queue.
    uses = np.zeros(len(keys) + 1, np.int64)
    for word in range(len(ends)):
        for place in range(begins[word] + 1, ends[word]):
            key = np.int64(symbols[place - 1]) << _WIDTH | np.int64(symbols[place])
            uses[_pair_slot(keys, key) + 1] += 1
    for slot in range(len(keys)):
        uses[slot + 1] += uses[slot]
    places, used = np.empty(uses[-1] + 1, np.int32), uses[-1]
    filled = uses[:-1].copy()
    for word in range(len(ends)):
        for place in range(begins[word] + 1, ends[word]):
            key = np.int64(symbols[place - 1]) << _WIDTH | np.int64(symbols[place])
            slot = _pair_slot(keys, key)
            places[filled[slot]] = word
            filled[slot] += 1
    queue, queued = np.empty((max(16, 2 * pairs), 4), np.int64), 0
    for slot in range(len(keys)):
        if keys[slot] != _FREE:
            _put(queue, queued, sums[slot], keys[slot], uses[slot], uses[slot + 1] - uses[slot])
            queued += 1

    made, done = np.empty((vocab_size, 3), np.int32), 0
    fresh_keys, fresh_words = np.empty(1 << 10, np.int64), np.empty(1 << 10, np.int32)
    tally = np.zeros(2 * vocab_size + 2, np.int64)  # of neighbours before the new token, and behind it
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

        left, right = np.int32(key >> _WIDTH), np.int32(key & _LOW)
        size: Number = np.int64(sizes[left]) + np.int64(sizes[right])
        text = room(text, written + size)
        _spell(text, written, starts[left], sizes[left])
        _spell(text, written + sizes[left], starts[right], sizes[right])
        starts[tokens], sizes[tokens] = written, size
        slot = find(text, written, size, text, starts, sizes, slots)
        if slots[slot] < 0:
            slots[slot] = tokens
            tokens += 1
            written += size
        token = slots[slot]
        made[done, 0], made[done, 1], made[done, 2] = left, right, token
        done += 1

        fresh = 0
        for at in range(first, first + many):
            word = places[at]
            begin, stop, weight = begins[word], begins[word] + lengths[word], counts[word]
            read = write = begin
            if 2 * (pairs + 4 * lengths[word]) > len(keys):
                keys, sums = _grown(keys, sums)
            fresh_keys = room(fresh_keys, fresh + 2 * lengths[word])
            fresh_words = room(fresh_words, fresh + 2 * lengths[word])
            while read < stop:
                if symbols[read] != left or read + 1 >= stop or symbols[read + 1] != right:
                    symbols[write] = symbols[read]
                    read, write = read + 1, write + 1
                    continue
                for side in range(2):  # the neighbour before, and the one behind
                    if side == 0 and write > begin:
                        other = np.int64(symbols[write - 1])
                        old, new = other << _WIDTH | np.int64(left), other << _WIDTH | np.int64(token)
                    elif side == 1 and read + 2 < stop:
                        other = np.int64(symbols[read + 2])
                        old, new = np.int64(right) << _WIDTH | other, np.int64(token) << _WIDTH | other
                    else:
                        continue
                    for pair, change in ((old, -weight), (new, weight)):
                        slot = _pair_slot(keys, pair)
                        if keys[slot] == _FREE:
                            keys[slot] = pair
                            pairs += 1
                        sums[slot] += change
                    fresh_keys[fresh], fresh_words[fresh] = new, word
                    fresh += 1
                symbols[write] = token
                read, write = read + 2, write + 1
            lengths[word] = write - begin

        # New pairs are (x, token) or (token, y): their words lie together after a count by x or y.
        places = room(places, used + fresh)
        for at in range(fresh):
            tally[_side(fresh_keys[at], token, vocab_size)] += 1
        total = used
        if queued + fresh > len(queue):
            wide = np.empty((2 * len(queue) + fresh, 4), np.int64)
            for row in range(queued):
                for column in range(4):
                    wide[row, column] = queue[row, column]
            queue = wide
        for at in range(fresh):
            part = _side(fresh_keys[at], token, vocab_size)
            if tally[part] > 0:  # met first: its run begins here; from now on minus the place behind what is filled
                amount = tally[part]
                now = sums[_pair_slot(keys, fresh_keys[at])]
                if now > 0:
                    _put(queue, queued, now, fresh_keys[at], total, amount)
                    queued += 1
                tally[part] = -total - 1
                total += amount
            places[-tally[part] - 1] = fresh_words[at]
            tally[part] -= 1
        for at in range(fresh):
            tally[_side(fresh_keys[at], token, vocab_size)] = 0
        used = total
    return made[:done].copy()


@njit(cache=True, nogil=True)
def _side(key: Number, token: Number, vocab_size: int) -> Number:
    """Returns a number of a pair that holds `token`: of the other token, before it or behind it."""
    left, right = key >> _WIDTH, key & _LOW
    return left if right == token else vocab_size + 1 + right
