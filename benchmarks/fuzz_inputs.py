"""Damaged input files, each opened in a process of its own kind: no traceback, no hang, no change of order.

``python benchmarks/fuzz_inputs.py [--repeats 3] [--only vcf] [--mutation nul] [--seed 0] [--trace]``

Every file of the small cohort in ``tests/data/formats`` is damaged in every way of ``fuzz_mutations``, then opened by
the public readers, read whole and scanned. Outcomes: *ok*, it opens and says what a plain reading of the damaged file
says (``fuzz_oracle``); *refused*, an error of one line that names the file; *unverified*, it opens in the order of the
undamaged files, and no plain reading of it is at hand; *fault*, anything else, listed with what repeats it.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import fuzz_mutations as damage
import fuzz_oracle as oracle
import numpy as np
from fuzz_child import Child

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "formats"
TABLES = {"pheno": "trait.tsv", "covar": "covariate.tsv"}
SECONDS = 20.0
OUTCOMES = ("ok", "refused", "unverified", "fault")


class Case(NamedTuple):
    """A file set, which of its files is damaged, and how it can be."""

    name: str
    kind: str
    files: dict[str, str]
    damaged: str
    mutations: tuple[damage.Mutation, ...]
    dosages: bool = False


def _cases() -> Iterator[Case]:
    bed = {"bed": "calls.bed", "bim": "calls.bim", "fam": "calls.fam", **TABLES}
    yield Case("bed", "bed", bed, "bed", damage.BINARY)
    for part in ("bim", "fam", "pheno", "covar"):
        yield Case(part, "bed", bed, part, damage.TEXT)
    yield Case("vcf", "vcf", {"vcf": "calls.vcf", **TABLES}, "vcf", damage.TEXT)
    yield Case("vcf (DS)", "vcf", {"vcf": "dosages.vcf", **TABLES}, "vcf", damage.TEXT, True)
    yield Case("vcf (alleles)", "vcf", {"vcf": "alleles.vcf", **TABLES}, "vcf", damage.TEXT)
    yield Case("vcf.gz", "vcf", {"vcf": "calls.vcf.gz", **TABLES}, "vcf", damage.ZIPPED_TEXT)
    yield Case("bcf", "bcf", {"bcf": "calls.bcf", **TABLES}, "bcf", damage.ZIPPED_BINARY)
    for stem, dosages in (("calls", False), ("dosages", True)):
        files = {part: f"{stem}.{part}" for part in ("pgen", "pvar", "psam")} | TABLES
        yield Case(f"pgen ({stem})", "pgen", files, "pgen", damage.BINARY, dosages)
    for part in ("pvar", "psam"):
        yield Case(part, "pgen", files, part, damage.TEXT, True)
    for stem in ("calls16", "dosages8"):
        files = {"bgen": f"{stem}.bgen", "sample": f"{stem}.sample", **TABLES}
        yield Case(f"bgen ({stem})", "bgen", files, "bgen", damage.BINARY, True)
    yield Case("sample", "bgen", files, "sample", damage.TEXT, True)


CASES = tuple(_cases())


@dataclass(frozen=True)
class Attempt:
    """One damaged file."""

    case: Case
    mutation: damage.Mutation
    seed: int

    def write(self, folder: Path) -> None:
        """Put the files of the case into a folder, one of them damaged; the same seed gives the same bytes."""
        others = [
            (DATA / name).read_bytes()
            for name in ("calls.fam", "calls.vcf", "calls.bed", "calls.bcf", "trait.tsv")
        ]
        for part, name in self.case.files.items():
            data = (DATA / name).read_bytes()
            if part == self.case.damaged:
                key = zlib.crc32(f"{self.case.name} {self.mutation.__name__}".encode())
                data = self.mutation(np.random.default_rng([self.seed, key]), data, others)
            (folder / name).write_bytes(data)


class Outcome(NamedTuple):
    """How an attempt ended: one of `OUTCOMES`, and the message or what went wrong."""

    word: str
    detail: str


def plan(repeats: int, *, seed: int = 0, only: str = "") -> list[Attempt]:
    """Every case, mutation and repeat."""
    return [
        Attempt(case, mutation, seed + repeat)
        for case in CASES
        if only in case.name
        for mutation in case.mutations
        for repeat in range(repeats)
    ]


def open_case(case: Case, folder: Path) -> dict[str, Any]:
    """Open, read and scan by the public functions; what came out, as plain arrays."""
    import gp_elm as ge
    from gp_elm.io.plink import read_plink

    path = {part: folder / name for part, name in case.files.items()}
    if case.kind == "bed":
        cohort = read_plink(bed=path["bed"], bim=path["bim"], fam=path["fam"])
    elif case.kind in ("vcf", "bcf"):
        from gp_elm.io.vcf import read_vcf

        cohort = read_vcf(
            path[case.kind], field="DS" if case.dosages else "GT", store=folder / "store", processes=1
        )
    elif case.kind == "pgen":
        from gp_elm.io.pgen import read_pgen

        cohort = read_pgen(pgen=path["pgen"], pvar=path["pvar"], psam=path["psam"], dosages=case.dosages)
    else:
        from gp_elm.io.bgen import read_bgen

        cohort = read_bgen(path["bgen"], sample=path["sample"], dosages=case.dosages)
    contig = cohort["contig_id"].values.astype(str)[cohort["variant_contig"].values]
    variants = [
        contig,
        *(cohort[f"variant_{n}"].values for n in ("position", "id", "effect_allele", "other_allele")),
    ]
    found: dict[str, Any] = {
        "samples": cohort["sample_id"].values.astype(str).tolist(),
        "variants": [
            (str(c), int(p), str(i), str(e), str(o)) for c, p, i, e, o in zip(*variants, strict=True)
        ],
        "dosage": np.asarray(cohort["call_dosage"].values, float),
    }
    cohort = ge.add_phenotypes(cohort, path["pheno"], case_control=False)
    found["with traits"] = cohort["sample_id"].values.astype(str).tolist()
    found["height"] = cohort["sample_phenotype"].values[:, 0]
    cohort = ge.add_covariates(cohort, path["covar"])
    found["with covariates"] = cohort["sample_id"].values.astype(str).tolist()
    found["covariates"] = cohort["covariate_id"].values.astype(str).tolist()
    found["age"] = cohort["sample_covariate"].values[:, 0]
    scan = ge.linear_scan(cohort)
    found["scanned"] = scan.dataset["variant_id"].values.astype(str).tolist()
    return found


def attempt_in_child(case: Case, folder: Path) -> tuple[str, Any]:
    """Open a case: ``("opened", arrays)``, ``("refused", message)`` or ``("fault", traceback)``."""
    from gp_elm.errors import GpElmError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "opened", open_case(case, folder)
    except GpElmError as error:
        return "refused", str(error)
    except BaseException:
        return "fault", traceback.format_exc()


def judge(case: Case, folder: Path, word: str, result: Any) -> Outcome:
    """Compare what the package says with what a plain reading says."""
    if word == "fault":
        return Outcome("fault", result)
    if word == "refused":
        if len(result.splitlines()) != 1:
            return Outcome("fault", f"not one line: {result!r}")
        if not any(name.split(".")[0] in result for name in case.files.values()):
            return Outcome("fault", f"no file is named: {result}")
        return Outcome("refused", result)
    undamaged = oracle.read(case.kind, DATA, case.files)
    doubt = ""
    try:
        expected = oracle.read(case.kind, folder, case.files)
    except Exception as error:  # what is no plain file has no plain reading
        expected, doubt = undamaged, f"no plain reading: {type(error).__name__} {error}"
    for name in ("samples", "variants"):
        said = getattr(expected, name)
        if said is None:
            said, doubt = getattr(undamaged, name) or result[name], doubt or "no plain reading"
        if said != result[name]:
            return Outcome(
                "unverified" if doubt else "fault", f"{_difference(name, said, result[name])}; {doubt}"
            )
    if expected.dosage is not None and not doubt:
        dosage = np.where(result["dosage"] == -1, np.nan, result["dosage"])
        if not np.allclose(
            np.where(expected.dosage == -1, np.nan, expected.dosage), dosage, atol=1e-4, equal_nan=True
        ):
            return Outcome("fault", "genotypes differ from a plain reading")
    return _judge_tables(result, expected, doubt)


def _difference(name: str, said: Sequence[Any], read: Sequence[Any]) -> str:
    pairs = zip(said, read, strict=False)
    first = next((f": {a!r:.120} is read as {b!r:.120}" for a, b in pairs if a != b), "")
    return f"{len(said)} {name} in the file, {len(read)} read{first}"


def _judge_tables(result: dict[str, Any], expected: oracle.Content, doubt: str) -> Outcome:
    everyone = [name.split("_")[-1] for name in result["samples"]]
    for part, key, step in (("pheno", "height", "with traits"), ("covar", "age", "with covariates")):
        rest = iter(everyone)
        iids = [name.split("_")[-1] for name in result[step]]
        if not all(name in rest for name in iids):
            return Outcome("fault", f"samples {step} are in another order")
        if key == "age" and result["covariates"][0] != "age":
            doubt = doubt or "the covariate is read as labels"
            continue
        said = expected.values.get(part, {})
        values = np.array([said.get(name, np.nan) for name in iids])
        if not np.allclose(values, result[key], equal_nan=True):
            return Outcome("unverified" if doubt else "fault", f"{key} differs from a plain reading; {doubt}")
    if result["scanned"] != [variant[2] for variant in result["variants"]]:
        return Outcome("fault", "the scan has other variants")
    return Outcome("unverified" if doubt else "ok", doubt)


def run(attempts: Sequence[Attempt], *, n_children: int = 2, seconds: float = SECONDS) -> list[Outcome]:
    """Outcome of each attempt; the first of a child waits longer, for what it imports and compiles."""
    outcomes: list[Outcome] = []
    children = [Child(attempt_in_child) for _ in range(min(n_children, len(attempts)))]
    try:
        for start in range(0, len(attempts), len(children)):
            with tempfile.TemporaryDirectory(prefix="fuzz") as parent:
                batch = list(zip(children, attempts[start : start + len(children)], strict=False))
                folders = [Path(parent) / str(k) for k in range(len(batch))]
                for (child, attempt), folder in zip(batch, folders, strict=True):
                    folder.mkdir()
                    attempt.write(folder)
                    child.send(attempt.case._replace(mutations=()), folder)
                for (child, attempt), folder in zip(batch, folders, strict=True):
                    word, result = child.receive(seconds + (60 if start == 0 else 0))
                    outcomes.append(judge(attempt.case, folder, word, result))
    finally:
        for child in children:
            child.close()
    return outcomes


def report(attempts: Sequence[Attempt], outcomes: Sequence[Outcome]) -> int:
    """Print the counts by format and by mutation, then everything that is no plain success; the number of faults."""
    for title, key in (("format", lambda a: a.case.name), ("mutation", lambda a: a.mutation.__name__)):
        counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for attempt, outcome in zip(attempts, outcomes, strict=True):
            counts[key(attempt)][outcome.word] += 1
            counts["all"][outcome.word] += 1
        counts["all"] = counts.pop("all")
        print("\t".join([title, *OUTCOMES]))
        for name, count in counts.items():
            print("\t".join([name, *(str(count[word]) for word in OUTCOMES)]))
        print()
    for word in ("unverified", "fault"):
        for attempt, outcome in zip(attempts, outcomes, strict=True):
            if outcome.word == word:
                lines = outcome.detail.strip().splitlines()
                print(
                    f"{word}: {attempt.case.name} {attempt.mutation.__name__} seed {attempt.seed}: {lines[-1][:300]}"
                )
    return sum(outcome.word == "fault" for outcome in outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Open damaged files of every format.")
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each mutation")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="formats whose name holds this")
    parser.add_argument("--mutation", default="", help="mutations whose name holds this")
    parser.add_argument("--trace", action="store_true", help="print faults in full")
    arguments = parser.parse_args()
    attempts = plan(arguments.repeats, seed=arguments.seed, only=arguments.only)
    attempts = [attempt for attempt in attempts if arguments.mutation in attempt.mutation.__name__]
    outcomes = run(attempts)
    if arguments.trace:
        for outcome in outcomes:
            print(outcome.word, outcome.detail)
    sys.exit(1 if report(attempts, outcomes) else 0)


if __name__ == "__main__":
    main()
