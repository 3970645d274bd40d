"""The letters that stand for bytes in the vocabulary of a byte-level model.

Source: Radford et al. 2019, the encoder of GPT-2.
"""

import functools


@functools.cache
def letters() -> tuple[str, ...]:
    """Returns the letter of each byte: printable bytes of Latin-1 are themselves, the others follow 255 in their order.

    >>> letters()[65], letters()[32], len(set(letters()))
    ('A', 'Ġ', 256)
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return tuple(chr(byte) if byte in plain else chr(256 + others.index(byte)) for byte in range(256))
