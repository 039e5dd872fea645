"""Effects written into a copy of the user's VCF, as INFO fields; all else stays as it is, byte for byte."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import os
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from gp_elm.errors import InputError, OptionError
from gp_elm.io.tabix import END_OF_FILE, BgzfWriter, PositionIndex
from gp_elm.io.tables import read_table
from gp_elm.io.vcf_fields import SOURCE, Effects
from gp_elm.runtime.atomic import atomic_path
from gp_elm.runtime.progress import Progress

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

_PACKED = (".vcf.gz", ".vcf.bgz")
_INDEXES = (".tbi", ".csi")


def write_vcf_info(
    source: PathLike,
    variants: pd.DataFrame | PathLike,
    out: PathLike,
    *,
    traits: Sequence[str] | None = None,
    progress: bool | None = None,
) -> Path:
    """Write the effects of a run into a copy of a VCF, as INFO fields.

    Each trait has fields of its own, ``ELM_BETA_height`` or ``GWAS_LOG10P_height``, one value per ALT, ``.``
    where there is none. Betas are per copy of ALT: where the run counted REF, their sign is turned. A record
    belongs to a variant of the same chromosome (with or without ``chr``), position and alleles.

    Parameters
    ----------
    source : path-like
        VCF, gzipped VCF or BCF. It is not changed.
    variants : pandas.DataFrame or path-like
        The ``variants`` table of a run, its file (``.parquet``, ``.tsv`` or ``.tsv.gz``), or the run's folder.
    out : path-like
        ``.vcf.gz``, which is indexed (``.tbi``, or ``.csi`` where a position exceeds 2^29), or ``.vcf``.
    traits : sequence of str, optional
        Which traits; all by default.
    progress : bool, optional
        Whether to draw a progress line; by default where standard error is a terminal.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    InputError
        Where the VCF or the table cannot be read, a field is already there and not ours, or no record matches.
    OptionError
        Where `out` is the source, or ends in something else.
    OutputError
        Where `out` cannot be written.

    Notes
    -----
    Values have seven digits, as many as the 32-bit floats of BCF. -log10 of a p-value of 0 is 323.3.
    """
    source, out = Path(source), Path(out)
    _check_paths(source, out)
    frame, where = _table(variants)
    size = source.stat().st_size if source.is_file() else 0
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(_open_raw(source))
        lines = _numbered(source, _lines(source, raw))
        header = _header(source, lines)
        effects = Effects(frame, where, traits=traits, taken=_taken(header), contigs=_ids(header, b"contig"))
        bar = stack.enter_context(Progress(f"Writing {out.name}", size, unit="bytes", enabled=progress))
        temporary = stack.enter_context(atomic_path(out))
        handle = stack.enter_context(open(temporary, "wb"))
        packed = stack.enter_context(BgzfWriter(handle)) if out.name.endswith(_PACKED) else None
        target = packed or handle
        target.write(_new_header(header, effects))
        index = PositionIndex()
        n_records = n_annotated = 0
        for number, line in lines:
            edited, annotated, span = _edit(line, effects, f"{source}:{number}")
            start = packed.tell() if packed else 0
            target.write(edited)
            if packed:
                index.add(*span, start, packed.tell())
            n_records += 1
            n_annotated += annotated
            if n_records % 500 == 0 and not raw.closed:
                bar.update(raw.tell() - bar.done)
        _report(source, where, effects, n_records, n_annotated)
        if packed:
            packed.close()
            _write_index(out, index, packed)
    return out


def _check_paths(source: Path, out: Path) -> None:
    if out.suffix == ".bcf" or not out.name.endswith((*_PACKED, ".vcf")):
        hint = "; make BCF of it with bcftools view -Ob" if out.suffix == ".bcf" else ""
        raise OptionError(
            f"{out}: cannot be written in this form; give --out a name in .vcf.gz or .vcf{hint}"
        )
    if not source.is_file():
        raise InputError(f"{source}: no such file; check --vcf")
    if out.exists() and os.path.samefile(source, out):
        raise OptionError(f"{out}: is the VCF itself, which stays as it is; give --out another name")


def _table(variants: pd.DataFrame | PathLike) -> tuple[pd.DataFrame, str]:
    if isinstance(variants, pd.DataFrame):
        return variants, "the table"
    path = Path(variants)
    if path.is_dir():
        there = [path / f"variants{suffix}" for suffix in (".parquet", ".tsv.gz", ".tsv")]
        path = next((file for file in there if file.is_file()), there[0])
        if not path.is_file():
            raise InputError(f"{path.parent}: no variants.parquet or variants.tsv.gz in it; check --run")
    return read_table(path, table=None if path.suffix == ".parquet" else "variants"), str(path)


def _open_raw(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check --vcf") from error


def _lines(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    """Lines of a VCF, its header first, from text, gzip or BCF."""
    stream = raw
    if raw.read(2) == b"\x1f\x8b":
        _check_end(path, raw)
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 18)
    raw.seek(0)
    try:
        if stream.peek(3)[:3] == b"BCF":  # type: ignore[attr-defined]
            yield from _bcf_lines(path)
        else:
            yield from stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: truncated or damaged ({error}); copy it again") from error


def _check_end(path: Path, raw: BinaryIO) -> None:
    # a BGZF file cut between two blocks looks whole to gzip
    raw.seek(0)
    is_bgzf = raw.read(16)[12:14] == b"BC"
    raw.seek(-min(28, path.stat().st_size), os.SEEK_END)
    if is_bgzf and raw.read() != END_OF_FILE:
        log.warning("%s: has no end-of-file block; it may be truncated: copy it again if in doubt", path)


def _bcf_lines(path: Path) -> Iterator[bytes]:
    from cyvcf2 import VCF

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of no samples
            records = VCF(str(path))
            yield from records.raw_header.encode().splitlines(keepends=True)
            for record in records:
                yield str(record).encode()
            records.close()
    except Exception as error:  # cyvcf2 raises bare Exception for a record that htslib cannot read
        raise InputError(f"{path}: cannot be read as BCF ({error}); copy it again") from error


def _numbered(path: Path, lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Number the lines; each record has as many columns as the header names."""
    n_tabs = 0
    for number, line in enumerate(lines, start=1):
        if line.startswith(b"#CHROM\t"):
            n_tabs = line.count(b"\t")
        elif n_tabs and line.count(b"\t") != n_tabs:
            if not line.strip():
                continue
            n_columns = line.count(b"\t") + 1
            raise InputError(
                f"{path}:{number}: {n_columns} columns, but the header names {n_tabs + 1}; "
                "the line is damaged or the file truncated: copy it again"
            )
        yield number, line


def _header(path: Path, lines: Iterator[tuple[int, bytes]]) -> list[bytes]:
    """Take the header's lines, the one of the column names last."""
    header: list[bytes] = []
    for number, line in lines:
        if number == 1 and not line.startswith(b"##fileformat=VCF"):
            break
        header.append(line)
        if line.startswith(b"#CHROM\t"):
            if line.count(b"\t") < 7:
                break
            return header
        if not line.startswith(b"##"):
            break
    raise InputError(f"{path}: no VCF or BCF: its header lacks ##fileformat or #CHROM; check --vcf")


def _ids(header: list[bytes], kind: bytes) -> dict[str, bytes]:
    """Header lines of a kind (``INFO``, ``contig``) by their ID."""
    start = b"##" + kind + b"=<"
    found = {}
    for line in header:
        if line.startswith(start) and (match := re.search(rb"[<,]ID=([^,>]+)", line)):
            found[match[1].decode(errors="replace")] = line
    return found


def _taken(header: list[bytes]) -> list[str]:
    ours = f'Source="{SOURCE}"'.encode()
    return [name for name, line in _ids(header, b"INFO").items() if ours not in line]


def _new_header(header: list[bytes], effects: Effects) -> bytes:
    end = b"\r\n" if header[-1].endswith(b"\r\n") else b"\n"
    replaced = {line for name, line in _ids(header, b"INFO").items() if name in effects.names}
    kept = [line for line in header[:-1] if line not in replaced]
    return b"".join([*kept, *(line.encode() + end for line in effects.lines), header[-1]])


def _edit(line: bytes, effects: Effects, where: str) -> tuple[bytes, bool, tuple[bytes, int, int]]:
    """The record with its fields, whether it has any, and its contig, first position from 0, and end."""
    chrom, pos, name, ref, alt, qual, filters, info, *rest = line.split(b"\t", 8)
    end = b""
    if not rest:
        info, end = info.rstrip(b"\r\n"), info[len(info.rstrip(b"\r\n")) :]
    try:
        position = int(pos)
    except ValueError:
        raise InputError(f"{where}: position {pos!r} is no whole number; mend the line") from None
    new = effects.info(
        chrom.decode(errors="replace"),
        position,
        name.decode(errors="replace"),
        ref.decode(errors="replace"),
        alt.decode(errors="replace").split(","),
    ).encode()
    old = [item for item in info.split(b";") if item.partition(b"=")[0] not in effects.keys]
    if new and old in ([b"."], [b""]):
        old = []
    info = b";".join([*old, new] if new else old) or b"."
    last = next((int(item[4:]) for item in old if item[:4] == b"END=" and item[4:].isdigit()), 0)
    begin = max(position - 1, 0)
    edited = b"\t".join([chrom, pos, name, ref, alt, qual, filters, info, *rest]) + end
    return edited, bool(new), (chrom, begin, max(begin + len(ref), last))


def _report(source: Path, where: str, effects: Effects, n_records: int, n_annotated: int) -> None:
    n_lost = int((~effects.found).sum())
    if not n_annotated:
        raise InputError(
            f"{source}: none of its {n_records:,} records has the chromosome, position and alleles of one of "
            f"the {n_lost:,} variants of {where}; check that the VCF is of this cohort and genome build"
        )
    log.info(
        "%s: %s of %s records get fields of %s, the others stay as they are; sign turned for %s ALT, REF "
        "being the effect allele of the run",
        source, f"{n_annotated:,}", f"{n_records:,}", where, f"{effects.n_turned:,}",
    )  # fmt: skip
    if n_lost or effects.n_ambiguous:
        log.warning(
            "%s: %s of %s variants have no record in %s%s",
            where, f"{n_lost:,}", f"{len(effects.found):,}", source,
            f"; {effects.n_ambiguous:,} ALT fit several variants that their ID does not tell apart"
            if effects.n_ambiguous else "",
        )  # fmt: skip


def _write_index(out: Path, index: PositionIndex, packed: BgzfWriter) -> None:
    # an index of an earlier file would be read in place of the new one
    for suffix in _INDEXES:
        if suffix != index.suffix or index.disorder:
            out.with_name(out.name + suffix).unlink(missing_ok=True)
    if index.disorder:
        log.warning(
            "%s: not indexed, its records are not sorted (%s); use bcftools sort", out, index.disorder
        )
        return
    with atomic_path(out.with_name(out.name + index.suffix)) as temporary:
        index.save(temporary, packed)
