"""What the first bytes of a ``.pgen`` promise, checked against its size before Pgenlib opens it.

The format is in https://github.com/chrchang/plink-ng/tree/master/pgen_spec. Pgenlib trusts its index; a file that was
cut short or damaged there is refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from gp_elm.errors import InputError

MAGIC = b"\x6c\x1b"
BLOCK = 1 << 16
AGAIN = "copy the file again, or write it again with plink2 --make-pgen"


def check_pgen(path: Path, n_variants: int, n_samples: int, pvar: Path, psam: Path) -> None:
    """Raise InputError where a ``.pgen`` is none, is truncated, or has other counts than the files beside it.

    Parameters
    ----------
    path : Path
        The ``.pgen``.
    n_variants, n_samples : int
        Rows of `pvar` and `psam`.
    pvar, psam : Path
        The other files, for messages.
    """
    size = path.stat().st_size
    with open(path, "rb") as handle:
        head = handle.read(12)
        if len(head) >= 3 and head[:2] == MAGIC and head[2] in (0, 1):
            raise InputError(f"{path}: this is a PLINK 1 BED; give it as --bed, with --bim and --fam")
        if head[:2] != MAGIC:
            raise InputError(
                f"{path}: the first bytes are {head[:2].hex(' ') or 'missing'}, not 6c 1b: "
                "this is no PGEN; check the path"
            )
        if len(head) < 12:
            raise InputError(f"{path}: {size} bytes are too few for a PGEN header; {AGAIN}")
        mode = head[2]
        if mode not in (2, 3, 4, 0x10, 0x11, 0x20, 0x21):
            raise InputError(f"{path}: storage mode {mode:#04x} is not known; {AGAIN}")
        if mode >= 0x20 and not Path(f"{path}.pgi").is_file():
            raise InputError(f"{path}: its index {path.name}.pgi is not beside it; copy it there")
        if mode < 0x20:
            counts = np.frombuffer(head, "<u4", 2, 3)
            for found, expected, name, what in (
                (int(counts[0]), n_variants, pvar, "variants"),
                (int(counts[1]), n_samples, psam, "samples"),
            ):
                if found != expected:
                    raise InputError(
                        f"{path}: {found:,} {what} in its header, but {expected:,} in {name}; "
                        "give the files written together"
                    )
        if mode == 2:
            expected = 12 + n_variants * ((n_samples + 3) // 4)
            expected += -(-n_variants // 8) if head[11] >> 6 == 3 else 0
            if size != expected:
                raise InputError(f"{path}: {size:,} bytes, expected {expected:,}; {AGAIN}")
        elif mode == 0x10:
            _check_index(path, handle.read, head[11], n_variants, size)


def _check_index(path: Path, read: Callable[[int], bytes], control: int, n_variants: int, size: int) -> None:
    """Where the records of each block of 65,536 variants start and end."""
    n_blocks = -(-n_variants // BLOCK)
    # bits 0 to 3: bits of a record type and bytes of a length
    type_bits, length_bytes = 4 if control & 15 < 4 else 8, 1 + (control & 3)
    if control & 15 >= 8:
        raise InputError(f"{path}: the header byte {control:#04x} is not known; {AGAIN}")
    allele_bytes = control >> 4 & 3
    index = read(8 * n_blocks)
    if len(index) < 8 * n_blocks:
        raise InputError(f"{path}: the index of the variants is cut short; {AGAIN}")
    starts = np.frombuffer(index, "<u8")
    at = 12 + 8 * n_blocks
    ends = [*starts[1:].tolist(), size]
    for block in range(n_blocks):
        m = min(BLOCK, n_variants - block * BLOCK)
        types = -(-m * type_bits // 8)
        flags = -(-m // 8) if control >> 6 == 3 else 0
        raw = read(types + m * length_bytes + m * allele_bytes + flags)
        at += types + m * (length_bytes + allele_bytes) + flags
        if len(raw) < types + m * (length_bytes + allele_bytes) + flags:
            raise InputError(f"{path}: the index of the variants is cut short; {AGAIN}")
        digits = np.frombuffer(raw, np.uint8, m * length_bytes, types).reshape(m, length_bytes)
        total = int((digits.astype(np.int64) << (8 * np.arange(length_bytes))).sum())
        if int(starts[block]) + total != int(ends[block]):
            raise InputError(
                f"{path}: the records of variants {block * BLOCK + 1:,} to {block * BLOCK + m:,} should end at byte "
                f"{int(starts[block]) + total:,}, but the file has {int(ends[block]):,}: it is truncated or damaged; "
                f"{AGAIN}"
            )
    if int(starts[0]) != at:
        raise InputError(
            f"{path}: the first record should start at byte {at:,}, not {int(starts[0]):,}; {AGAIN}"
        )
