"""Mutations of valid bytes, as networks, disks and bugs damage them."""

from __future__ import annotations

import random
from collections.abc import Callable

INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)

Mutation = Callable[[bytearray, random.Random], None]


def _flip(data: bytearray, rng: random.Random) -> None:
    position = rng.randrange(len(data))
    data[position] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    position = rng.randrange(len(data))
    length = rng.choice((1, 2, 4, 8))
    for index in range(position, min(position + length, len(data))):
        data[index] = rng.choice(INTERESTING)


def _cut_out(data: bytearray, rng: random.Random) -> None:
    position = rng.randrange(len(data))
    del data[position : position + rng.choice((1, 2, 4, 16, 200))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    position = rng.randrange(len(data))
    piece = data[position : position + rng.choice((1, 4, 16, 200))]
    data[position:position] = piece


def _insert(data: bytearray, rng: random.Random) -> None:
    position = rng.randrange(len(data))
    data[position:position] = rng.randbytes(rng.choice((1, 2, 6, 40)))


def _cut_off(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


MUTATIONS: tuple[Mutation, ...] = (_flip, _overwrite, _cut_out, _repeat, _insert, _cut_off)


def mutated(data: bytes, rng: random.Random, *, end: int | None = None) -> bytes:
    """One to four damages; within the first `end` bytes, where headers are, if given."""
    head, rest = bytearray(data[:end]), data[end:] if end is not None else b""
    for _ in range(rng.randint(1, 4)):
        if head:
            rng.choice(MUTATIONS)(head, rng)
    return bytes(head) + rest
