"""Seeded damage to a file: what disks, mail programs, spreadsheets and hands do to text and binary files."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable, Sequence

import numpy as np

from gp_elm.io.tabix import BgzfWriter

Rng = np.random.Generator
Mutation = Callable[[Rng, bytes, Sequence[bytes]], bytes]
"""Takes a generator, the content and the contents of other files; gives the damaged content."""


def flip_bits(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _flip(rng, data, len(data))


def flip_in_header(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _flip(rng, data, min(len(data), 64))


def _flip(rng: Rng, data: bytes, end: int) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    for place in rng.integers(0, end, rng.integers(1, 5)):
        array[place] ^= np.uint8(1 << rng.integers(8))
    return array.tobytes()


def truncate(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: rng.integers(1, len(data))]


def empty(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return b""


def append_garbage(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 200)))


def insert_nul(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _insert(rng, data, b"\0" * int(rng.integers(1, 4)))


def insert_garbage(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _insert(rng, data, bytes(rng.integers(128, 256, rng.integers(1, 5)).tolist()))


def insert_utf8(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _insert(rng, data, rng.choice(["é", "\u2028", "\u00a0", "\x0b", "\x1c", "\x85", "𝔸"]).encode())


def _insert(rng: Rng, data: bytes, piece: bytes) -> bytes:
    place = int(rng.integers(0, len(data) + 1))
    return data[:place] + piece + data[place:]


def delete_bytes(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    place = int(rng.integers(0, len(data)))
    return data[:place] + data[place + int(rng.integers(1, 40)) :]


def repeat_bytes(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    start, stop = sorted(rng.integers(0, len(data), 2))
    return data[:stop] + data[start:stop] + data[stop:]


def zero_bytes(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    start = int(rng.integers(0, len(data)))
    n = min(len(data) - start, int(rng.integers(1, 64)))
    return data[:start] + b"\0" * n + data[start + n :]


def another_file(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return others[rng.integers(len(others))]


def _lines(rng: Rng, data: bytes) -> tuple[list[bytes], np.ndarray]:
    """The lines, and which of them (three times of four) are no comments."""
    lines = data.splitlines(keepends=True)
    rows = [k for k, line in enumerate(lines) if not line.startswith(b"##")]
    return lines, np.array(rows if rng.random() < 0.75 and rows else range(len(lines)))


def duplicate_line(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    lines, rows = _lines(rng, data)
    lines.insert(int(rng.choice(rows)), lines[rng.choice(rows)])
    return b"".join(lines)


def delete_line(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    lines, rows = _lines(rng, data)
    del lines[rng.choice(rows)]
    return b"".join(lines)


def swap_lines(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    lines, rows = _lines(rng, data)
    a, b = rng.choice(rows, 2)
    lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def permute_lines(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True)
    first = next((k for k, line in enumerate(lines) if not line.startswith(b"#")), 0)
    body = lines[first:]
    return b"".join([*lines[:first], *(body[k] for k in rng.permutation(len(body)))])


def blank_lines(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True)
    for _ in range(rng.integers(1, 4)):
        lines.insert(int(rng.integers(0, len(lines) + 1)), rng.choice([b"\n", b"  \n", b"\t\n", b"\r\n"]))
    return b"".join(lines)


def no_last_newline(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return data.rstrip(b"\n")


def crlf(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return data.replace(b"\n", b"\r\n")


def old_mac_line_ends(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return data.replace(b"\n", b"\r")


def byte_order_mark(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return b"\xef\xbb\xbf" + data


def utf16(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return data.decode().encode("utf-16")


def other_delimiter(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return re.sub(rb"[\t ]", rng.choice([b",", b";", b" ", b"\t\t", b"|"]), data)


def _field(rng: Rng, data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    lines, rows = _lines(rng, data)
    k = int(rng.choice(rows))
    parts = re.split(rb"([\t \r\n]+)", lines[k])
    j = 2 * int(rng.integers(0, max(1, len(parts) // 2)))
    parts[j] = change(parts[j])
    lines[k] = b"".join(parts)
    return b"".join(lines)


def long_field(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _field(rng, data, lambda text: text + b"A" * int(rng.choice([300, 70_000, 2_000_000])))


def huge_number(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    word = rng.choice(
        [b"99999999999999999999", b"1e400", b"-7", b"4294967296", b"9223372036854775807", b"1e9", b"0x1F"]
    )
    return _field(rng, data, lambda text: bytes(word))


def odd_word(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    word = rng.choice(
        [b"nan", b"inf", b"-inf", b"NA", b".", b'"', b"'", b"0", b"-9", b"#", b"=1+1", b"NaN", b"1,5"]
    )
    return _field(rng, data, lambda text: bytes(word))


def delete_field(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _field(rng, data, lambda text: b"")


def add_field(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return _field(rng, data, lambda text: text + b"\tmore")


def zipped(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return gzip.compress(data)


def zipped_and_cut(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return truncate(rng, gzip.compress(data), others)


def zipped_and_flipped(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    return flip_bits(rng, gzip.compress(data), others)


def _inside(mutation: Mutation) -> Mutation:
    """Damage what is compressed, and compress it again."""

    def mutate(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
        packed = io.BytesIO()
        # htslib reads BCF from BGZF alone
        with BgzfWriter(packed, threads=1) as out:
            out.write(mutation(rng, gzip.decompress(data), others))
        return packed.getvalue()

    mutate.__name__ = f"inside_{mutation.__name__}"
    return mutate


ANY: tuple[Mutation, ...] = (
    flip_bits,
    truncate,
    empty,
    append_garbage,
    insert_nul,
    insert_garbage,
    another_file,
)
TEXT: tuple[Mutation, ...] = (
    *ANY, insert_utf8, duplicate_line, delete_line, swap_lines, permute_lines, blank_lines, no_last_newline, crlf,
    old_mac_line_ends, byte_order_mark, utf16, other_delimiter, long_field, huge_number, odd_word, delete_field,
    add_field, zipped, zipped_and_cut, zipped_and_flipped,
)  # fmt: skip
BINARY: tuple[Mutation, ...] = (*ANY, flip_in_header, delete_bytes, repeat_bytes, zero_bytes)
ZIPPED_BINARY: tuple[Mutation, ...] = (
    *BINARY, *map(_inside, (flip_bits, truncate, insert_nul, delete_bytes, zero_bytes))
)  # fmt: skip
ZIPPED_TEXT: tuple[Mutation, ...] = (
    *ZIPPED_BINARY, *map(_inside, (duplicate_line, delete_line, permute_lines, crlf, huge_number, odd_word))
)  # fmt: skip
