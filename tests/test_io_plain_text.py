"""Text files that are none: NUL bytes, other encodings, gzip cut short."""

from __future__ import annotations

import gzip
import io
import shutil
from pathlib import Path

import pytest

from gp_elm.errors import InputError
from gp_elm.io.id_lists import read_ids, read_pairs
from gp_elm.io.phenotypes import read_table
from gp_elm.io.plain_text import refuse_nul
from gp_elm.io.plink import read_plink

TABLE = b"IID\tvariant_id_1\tvariant_id_2\n" + b"s1\ta\tb\ns2\ta\tc\n"
READERS = (read_table, read_ids, read_pairs)


@pytest.mark.parametrize("kind", ["bim", "fam"])
def test_a_nul_in_plink_files(example_data: Path, tmp_path: Path, kind: str) -> None:
    for part in ("bed", "bim", "fam"):
        shutil.copy(example_data / f"example.{part}", tmp_path / f"a.{part}")
    path = tmp_path / f"a.{kind}"
    lines = path.read_bytes().split(b"\n")
    # pandas ends the field there: position 20007 was read as 20
    lines[6] = lines[6][:-9] + b"\0" + lines[6][-9:]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=rf"a\.{kind}:7: a NUL byte"):
        read_plink(tmp_path / "a")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TABLE.replace(b"s2", b"s2\0"), r"a\.txt:3: a NUL byte"),
        (gzip.compress(TABLE.replace(b"s2", b"s2\0")), r"a\.txt:3: a NUL byte"),
        (TABLE.decode().encode("utf-16"), r"a\.txt: not a text file in UTF-8"),
        (gzip.compress(TABLE)[:-9], r"a\.txt: cannot be read .*copy it again"),
        (gzip.compress(TABLE)[:-8] + b"12345678", r"a\.txt: cannot be read .*copy it again"),
        (gzip.compress(TABLE)[:12] + b"\xff" * 30, r"a\.txt: cannot be read .*copy it again"),
    ],
    ids=["nul", "nul in gzip", "utf-16", "cut", "checksum", "damaged"],
)
def test_tables_and_lists(reader, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        reader(path)
    path.write_bytes(gzip.compress(TABLE))
    reader(path)


def test_the_line_is_counted_over_pieces() -> None:
    content = b"A" * (1 << 22) + b"\n\n\0"
    with pytest.raises(InputError, match="a:3: a NUL byte"):
        refuse_nul(Path("a"), io.BytesIO(content))
    refuse_nul(Path("a"), io.BytesIO(content[:-1]))
