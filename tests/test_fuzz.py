"""A small part of ``benchmarks/fuzz_inputs.py``: damaged files of every format are read as they are, or refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import fuzz_inputs as fuzz  # noqa: E402
import fuzz_mutations as damage  # noqa: E402
import fuzz_oracle as oracle  # noqa: E402


@pytest.fixture(scope="module")
def attempts() -> list[fuzz.Attempt]:
    """60 attempts over formats and mutations, the same in each run; VCF, which takes a process each, in six."""
    every = fuzz.plan(1, seed=1000)
    rng = np.random.default_rng(0)
    chosen = []
    for is_vcf, n in ((False, 54), (True, 6)):
        there = [k for k, attempt in enumerate(every) if (attempt.case.kind in ("vcf", "bcf")) == is_vcf]
        chosen += rng.choice(there, n, replace=False).tolist()
    return [every[k] for k in sorted(chosen)]


def test_no_traceback_no_hang_no_change_of_order(attempts: list[fuzz.Attempt]) -> None:
    outcomes = fuzz.run(attempts, n_children=1)
    faults = [
        (attempt.case.name, attempt.mutation.__name__, attempt.seed, outcome.detail)
        for attempt, outcome in zip(attempts, outcomes, strict=True)
        if outcome.word == "fault"
    ]
    assert not faults
    words = [outcome.word for outcome in outcomes]
    # a harness that opens nothing would find no fault either
    assert words.count("ok") >= 10 and words.count("refused") >= 15 and words.count("unverified") <= 10


@pytest.mark.parametrize("case", fuzz.CASES, ids=lambda case: case.name)
def test_the_plain_reading_of_undamaged_files(case: fuzz.Case) -> None:
    content = oracle.read(case.kind, fuzz.DATA, case.files)
    if content.samples is not None:
        assert len(content.samples) == 60 and len(set(content.samples)) == 60
    assert content.values["pheno"].keys() >= set(content.samples or [])


@pytest.mark.parametrize("mutation", [*damage.TEXT, *damage.ZIPPED_TEXT], ids=lambda m: m.__name__)
def test_mutations_repeat_and_change_something(mutation: damage.Mutation) -> None:
    zipped = mutation in damage.ZIPPED_TEXT and mutation not in damage.TEXT
    data = (fuzz.DATA / ("calls.vcf.gz" if zipped else "calls.vcf")).read_bytes()
    changed = [mutation(np.random.default_rng(k), data, [b"another"]) for k in range(5)]
    assert any(content != data for content in changed)
    assert (
        mutation(np.random.default_rng(3), data, [b"another"])[10:] == changed[3][10:]
    )  # gzip writes the time


def test_a_changed_order_is_a_fault(tmp_path: Path) -> None:
    case = next(case for case in fuzz.CASES if case.name == "fam")
    fuzz.Attempt(case, damage.no_last_newline, 0).write(tmp_path)
    word, found = fuzz.attempt_in_child(case, tmp_path)
    assert word == "opened" and fuzz.judge(case, tmp_path, word, found).word == "ok"
    for name in ("samples", "variants", "dosage", "with traits", "height", "age", "scanned"):
        turned = {**found, name: found[name][::-1]}
        assert fuzz.judge(case, tmp_path, word, turned).word == "fault", name


def test_a_crash_and_a_hang_are_faults() -> None:
    child = fuzz.Child(fuzz.attempt_in_child)
    try:
        child._process.kill()
        assert child.receive(20) == ("fault", "crash: SIGKILL")
        assert child.receive(0.05) == ("fault", "hang: no answer within 0 s")
    finally:
        child.close()


@pytest.mark.parametrize("message", ["two\nlines in calls.fam", "something is wrong"])
def test_a_message_must_be_one_line_that_names_the_file(message: str, tmp_path: Path) -> None:
    case = next(case for case in fuzz.CASES if case.name == "fam")
    assert fuzz.judge(case, tmp_path, "refused", message).word == "fault"
