"""The simulator: the same bytes again, PLINK files that others read, and the truth it says it wrote."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed

from gp_elm.errors import OptionError, OutputError
from gp_elm.simulate import SimulateOptions, simulate
from gp_elm.simulate.genotypes import draw_pedigree, lay_out_variants, stream_dosages

RICH = {
    "n_samples": 1501,
    "n_variants": 300,
    "n_chromosomes": 3,
    "block_variants": 8,
    "minimum_frequency": 0.1,
    "maximum_frequency": 0.9,
    "family_fraction": 0.4,
    "family_size": 5,
    "missing_rate": 0.02,
    "missing_phenotypes": 0.1,
    "n_traits": 2,
    "additive_variance": (0.3, 0.4),
    "dominance_variance": (0.1, 0),
    "additive_by_additive_variance": (0.2, 0),
    "n_additive": (8, 12),
    "n_dominance": (2, 0),
    "n_pairs": (3, 0),
    "shared_environment": (0.1, 0),
    "seed": 3,
}


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """Prefix of a small cohort that has everything."""
    prefix = tmp_path_factory.mktemp("rich") / "cohort"
    simulate(prefix, **RICH)
    return prefix


def read(prefix, suffix, **options):
    return pd.read_csv(f"{prefix}{suffix}", sep="\t", **options)


def genotypes(prefix):
    """Dosages of the effect allele, (n, m) float64, by a reader that is not ours."""
    with open_bed(f"{prefix}.bed") as bed:
        return bed.read(dtype="float64")


def draws(options, **more):
    """All genotypes of the options, (m, n)."""
    rng = [np.random.default_rng(k) for k in range(4)]
    layout, pedigree = lay_out_variants(options, rng[0]), draw_pedigree(options, rng[1])
    blocks = stream_dosages(options, layout, pedigree, haplotype_rng=rng[2], meiosis_rng=rng[3], **more)
    return layout, pedigree, np.concatenate([block for _, block in blocks])


def coefficient(response, feature, *others):
    """Regression coefficient of a feature beside others, and its standard error; the slow, plain way."""
    design = np.column_stack([feature, *others, np.ones(len(response))])
    beta, *_ = np.linalg.lstsq(design, response, rcond=None)
    variance = ((response - design @ beta) ** 2).sum() / (len(response) - design.shape[1])
    return beta[0], np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])


def test_example_data_are_reproduced_bit_for_bit(example_data, tmp_path, monkeypatch):
    text = (example_data / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), {})
    made = sorted(path.name for path in (tmp_path / "example_data").iterdir())
    assert made == sorted(path.name for path in example_data.iterdir() if path.name.startswith("example."))
    for name in made:
        assert (tmp_path / "example_data" / name).read_bytes() == (example_data / name).read_bytes(), name


def test_example_command_gives_the_options_of_the_python_call(example_data):
    text = (example_data / "README.md").read_text()
    words = shlex.split(re.search(r"```sh\n(gp-elm simulate.*?)```", text, re.S).group(1).replace("\\\n", ""))
    flags = dict(zip(words[2::2], words[3::2], strict=True))
    assert flags.pop("--out") == "example_data/example"
    fields = {}
    for flag, value in flags.items():
        numbers = [
            float(part) if "." in part else int(part) for part in value.split(",") if part[0].isdigit()
        ]
        fields[flag[2:].replace("-", "_")] = (
            value if not numbers else numbers if len(numbers) > 1 else numbers[0]
        )
    call = re.search(r"simulate\(\n(.*?)\n\)", text, re.S).group(1).split(",", 1)[1]
    assert asdict(SimulateOptions(**fields)) == asdict(eval(f"SimulateOptions({call})"))


def test_example_data_are_small(example_data):
    assert sum(path.stat().st_size for path in example_data.iterdir()) < 3e6


def test_same_seed_same_bytes_other_seed_other_bytes(rich, tmp_path):
    paths = simulate(tmp_path / "again", **RICH)
    assert len(paths) == 8
    for suffix, path in paths.items():
        assert path.read_bytes() == Path(f"{rich}{suffix}").read_bytes(), suffix
    other = simulate(tmp_path / "other", **RICH | {"seed": 4})
    assert other[".bed"].read_bytes() != Path(f"{rich}.bed").read_bytes()


def test_other_traits_leave_the_genotypes_as_they_are(rich, tmp_path):
    paths = simulate(
        tmp_path / "t", **RICH | {"n_traits": 1} | dict.fromkeys(TRAIT_OPTIONS, 0) | {"n_pairs": 0}
    )
    assert paths[".bed"].read_bytes() == Path(f"{rich}.bed").read_bytes()


TRAIT_OPTIONS = (
    "additive_variance",
    "dominance_variance",
    "additive_by_additive_variance",
    "n_additive",
    "n_dominance",
    "shared_environment",
)


def test_blocks_change_nothing():
    options = SimulateOptions(n_samples=50, n_variants=101, family_fraction=0.5, n_additive=5)
    np.testing.assert_array_equal(draws(options)[2], draws(options, block_bytes=350)[2])


def test_files_fit_together(rich):
    n, m = RICH["n_samples"], RICH["n_variants"]
    assert os.path.getsize(f"{rich}.bed") == 3 + m * -(-n // 4)
    bim = read(rich, ".bim", header=None)
    fam = read(rich, ".fam", header=None, dtype=str)
    assert bim.shape == (m, 6) and fam.shape == (n, 6)
    assert bim[1].is_unique and fam[1].is_unique and (bim[4] != bim[5]).all()
    for _, chromosome in bim.groupby(0):
        assert chromosome[3].is_monotonic_increasing and chromosome[3].is_unique
        assert chromosome[3].between(1, 100e6).all()
    for suffix in (".pheno.tsv", ".covar.tsv", ".groups.tsv"):
        table = read(rich, suffix, dtype=str)
        assert list(table["FID"]) == list(fam[0]) and list(table["IID"]) == list(fam[1])
    covariates = read(rich, ".covar.tsv")
    assert list(covariates.columns[2:]) == ["sex", "age", "batch"]
    assert list(covariates["sex"]) == list(fam[4].astype(int))


def test_missing_calls_and_traits(rich):
    called = genotypes(rich)
    missing = np.isnan(called).mean()
    assert abs(missing - 0.02) < 5 * np.sqrt(0.02 / called.size)
    assert set(np.unique(called[~np.isnan(called)])) == {0, 1, 2}
    assert read(rich, ".pheno.tsv")["trait_1"].isna().mean() == pytest.approx(0.1, abs=0.03)


def test_frequencies_are_those_drawn():
    options = SimulateOptions(n_samples=4000, n_variants=300, n_additive=1)
    layout, _, dosage = draws(options)
    z = (dosage.mean(axis=1) / 2 - layout.frequency) / np.sqrt(
        layout.frequency * (1 - layout.frequency) / 8000
    )
    assert abs(z).max() < 4.5 and 0.8 < (z**2).mean() < 1.25
    heterozygous = (dosage == 1).mean(axis=1)
    np.testing.assert_allclose(heterozygous, 2 * layout.frequency * (1 - layout.frequency), atol=0.04)


def test_linkage_disequilibrium_decays_and_ends_at_blocks():
    # one frequency only, so that the correlation of two haplotypes is the chance that they are unbroken
    options = SimulateOptions(
        n_samples=4000,
        n_variants=400,
        n_chromosomes=2,
        ld=0.8,
        minimum_frequency=0.5,
        maximum_frequency=0.5,
        n_additive=1,
    )
    layout, _, dosage = draws(options)
    r = np.corrcoef(dosage)
    i, j = np.triu_indices(len(r), 1)
    together = layout.block[i] == layout.block[j]
    sign = np.where(layout.flipped[i] == layout.flipped[j], 1, -1)
    for distance in (1, 2, 5):
        at = together & (j - i == distance)
        assert (sign * r[i, j])[at].mean() == pytest.approx(0.8**distance, abs=0.03)
    assert (r[i, j][~together] ** 2).mean() == pytest.approx(1 / 4000, rel=0.1)
    assert layout.block[-1] + 1 == pytest.approx(400 / 20, abs=15)


def test_children_inherit_from_both_parents():
    options = SimulateOptions(
        n_samples=400, n_variants=600, n_chromosomes=2, family_fraction=1, family_size=4, ld=0, n_additive=1
    )
    layout, pedigree, dosage = draws(options)
    child = np.flatnonzero(pedigree.father >= 0)
    assert len(child) == 200
    g, father, mother = (
        dosage[:, who].astype(int) for who in (child, pedigree.father[child], pedigree.mother[child])
    )
    # a parent gives what it has: no copy of an allele that it lacks, one at least of an allele it has twice
    assert (
        (g <= (father > 0).astype(int) + (mother > 0)) & (g >= (father == 2).astype(int) + (mother == 2))
    ).all()
    scale = 1 / np.sqrt(2 * layout.frequency * (1 - layout.frequency))
    standard = (dosage - 2 * layout.frequency[:, None]) * scale[:, None]
    relatedness = standard.T @ standard / options.n_variants
    assert relatedness[child, pedigree.father[child]].mean() == pytest.approx(0.5, abs=0.02)
    assert relatedness[child[0::2], child[1::2]].mean() == pytest.approx(0.5, abs=0.03)
    assert relatedness[pedigree.father[child], pedigree.mother[child]].mean() == pytest.approx(0, abs=0.02)
    assert set(pedigree.sex[pedigree.father[child]]) == {1} and set(pedigree.sex[pedigree.mother[child]]) == {
        2
    }


def test_haploid_cross():
    options = SimulateOptions(
        n_samples=300,
        n_variants=400,
        n_chromosomes=2,
        ploidy=1,
        family_fraction=1,
        family_size=300,
        n_additive=1,
    )
    _, pedigree, dosage = draws(options)
    assert dosage.max() == 1
    father, mother = dosage[:, [0]], dosage[:, [1]]
    children = dosage[:, 2:]
    assert ((children == father) | (children == mother)).all()
    apart = (father != mother)[:, 0]
    from_father = (children == father)[apart]
    assert from_father.mean() == pytest.approx(0.5, abs=0.1)
    # two chromosomes of one Morgan: about two crossovers a child, and a free choice between the chromosomes
    assert (from_father[1:] != from_father[:-1]).sum(axis=0).mean() == pytest.approx(2.4, abs=0.4)


def test_haploid_cohort_is_written_as_homozygotes(tmp_path):
    simulate(tmp_path / "h", n_samples=100, n_variants=50, ploidy=1, n_additive=5, missing_rate=0.05)
    assert set(np.unique(genotypes(tmp_path / "h"), equal_nan=True)[:2]) == {0, 2}
    assert not (genotypes(tmp_path / "h") == 1).any()


def test_variances_are_those_asked_for(rich):
    truth = read(rich, ".truth_variance.tsv").set_index(["trait", "component"])["value"]
    for t in (1, 2):
        for component in ("additive_variance", "dominance_variance", "additive_by_additive_variance"):
            assert truth[f"trait_{t}", component] == pytest.approx(RICH[component][t - 1], rel=1e-6)
        assert truth[f"trait_{t}", "covariate_variance"] == pytest.approx(0.1, rel=1e-6)
        assert truth[f"trait_{t}", "phenotypic_variance"] == pytest.approx(1, abs=0.15)
    assert truth["trait_1", "noise_variance"] == pytest.approx(0.3, abs=0.04)
    effects = read(rich, ".truth_effects.tsv")
    share = effects.groupby(["trait", "kind"])["variance_share"].sum()
    assert share["trait_1", "additive"] == pytest.approx(
        0.3 / truth["trait_1", "phenotypic_variance"], abs=0.03
    )
    assert effects.groupby(["trait", "kind"]).size().to_dict() == {
        ("trait_1", "additive"): 8,
        ("trait_1", "dominance"): 2,
        ("trait_1", "epistatic"): 3,
        ("trait_2", "additive"): 12,
    }


def test_true_effects_are_the_regression_coefficients(tmp_path):
    """Every effect is recovered from the written files within 4.5 standard errors, by ordinary regression."""
    simulate(
        tmp_path / "c",
        n_samples=4000,
        n_variants=200,
        additive_variance=0.3,
        dominance_variance=0.15,
        additive_by_additive_variance=0.25,
        n_additive=8,
        n_dominance=3,
        n_pairs=4,
        minimum_frequency=0.2,
        maximum_frequency=0.8,
        seed=5,
    )
    effects = read(tmp_path / "c", ".truth_effects.tsv")
    x = pd.DataFrame(genotypes(tmp_path / "c"), columns=read(tmp_path / "c", ".bim", header=None)[1])
    bim = read(tmp_path / "c", ".bim", header=None).set_index(1)
    trait = read(tmp_path / "c", ".pheno.tsv")["trait_1"].to_numpy()
    z = []
    for row in effects.itertuples():
        first = x[row.variant_id_1]
        assert row.effect_allele_1 == bim[4][row.variant_id_1]
        if row.kind == "additive":
            beta, error = coefficient(trait, first)
        elif row.kind == "dominance":
            beta, error = coefficient(trait, first == 1, first)
        else:
            second = x[row.variant_id_2]
            beta, error = coefficient(trait, first * second, first, second)
        z.append((beta - row.beta) / error)
    assert np.abs(z).max() < 4.5 and np.mean(np.square(z)) < 2.5


def test_loci_lie_in_blocks_of_their_own_and_can_be_apart(tmp_path):
    options = dict(
        n_samples=60, n_variants=400, n_traits=2, n_additive=5, n_pairs=2, additive_by_additive_variance=0.2
    )
    simulate(tmp_path / "shared", **options)
    shared = read(tmp_path / "shared", ".truth_effects.tsv")
    additive = shared[shared["kind"] == "additive"]
    loci = [set(rows["variant_id_1"]) for _, rows in additive.groupby("trait")]
    assert loci[0] == loci[1] and len(loci[0]) == 5
    simulate(tmp_path / "own", **options, shared_loci=False, pure_epistasis=True)
    own = read(tmp_path / "own", ".truth_effects.tsv")
    loci = [*own["variant_id_1"], *own["variant_id_2"].dropna()]
    assert len(loci) == len(set(loci)) == 2 * (5 + 4)


@pytest.mark.parametrize("scale", ["exp", "cube", "sigmoid"])
def test_scale_is_monotone(tmp_path, scale):
    plain = simulate(tmp_path / "plain", n_samples=200, n_variants=50, n_additive=5)
    bent = simulate(tmp_path / "bent", n_samples=200, n_variants=50, n_additive=5, scale=scale)
    before, after = (pd.read_csv(paths[".pheno.tsv"], sep="\t")["trait_1"] for paths in (plain, bent))
    assert list(before.argsort()) == list(after.argsort())
    assert plain[".truth_effects.tsv"].read_bytes() == bent[".truth_effects.tsv"].read_bytes()


def test_files_without_content_are_not_written(tmp_path):
    paths = simulate(
        tmp_path / "bare",
        n_samples=20,
        n_variants=30,
        n_additive=2,
        n_numeric_covariates=0,
        n_categorical_covariates=0,
        sex_covariate=False,
        covariate_variance=0,
    )
    assert ".covar.tsv" not in paths and ".groups.tsv" not in paths
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths.values())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_samples": 1}, "n_samples is 1; give 2 or more"),
        ({"ploidy": 4}, "ploidy is 4; only 1 and 2"),
        ({"ld": 1.5}, r"ld is 1.5; give a share in \[0, 1\]"),
        ({"missing_rate": 1}, r"missing_rate is 1; give a share in \[0, 1\)"),
        ({"scale": "log"}, "scale is 'log'; choose one of identity, exp, cube, sigmoid"),
        ({"additive_variance": (0.1, 0.2, 0.3)}, "additive_variance has 3 values for 2 traits; give 1 or 2"),
        ({"additive_variance": -0.1}, "additive_variance is -0.1; give 0 or more"),
        (
            {"additive_variance": 0.9, "shared_environment": 0.2},
            r"trait_1: the variances add up to 1.1, above 1",
        ),
        ({"dominance_variance": 0.1}, "trait_1 has dominance_variance above 0 but n_dominance 0"),
        ({"ploidy": 1, "dominance_variance": 0.1, "n_dominance": 1}, "dominance in a haploid cohort"),
        ({"shared_environment": 0.1}, "shared environment but no families"),
        ({"n_chromosomes": 500}, "500 chromosomes need at least as many variants, not 100"),
        ({"chromosome_megabases": 0.0001}, "too dense"),
        ({"minimum_frequency": 0.99}, "minimum_frequency .* is above maximum_frequency"),
        ({"family_fraction": 1, "family_size": 80}, "a family of 80 does not fit in 50 samples"),
        ({"n_additive": 200}, "trait_1 needs 200 causal loci, but 100 variants are left"),
        (
            {"n_pairs": 4, "n_additive": 3},
            "trait_1 has 4 pairs, but 3 loci make 3; raise n_additive",
        ),
        ({"minimum_frequency": 0, "maximum_frequency": 0}, "every additive locus is monomorphic"),
    ],
)
def test_options_that_make_no_sense(tmp_path, fields, message):
    with pytest.raises(OptionError, match=message):
        simulate(
            tmp_path / "x", **{"n_samples": 50, "n_variants": 100, "n_traits": 2, "n_additive": 5} | fields
        )
    assert list(tmp_path.iterdir()) == []


def test_earlier_files_are_not_overwritten(tmp_path):
    fields = {"n_samples": 20, "n_variants": 30, "n_additive": 2}
    (tmp_path / "mine.bim").write_text("precious")
    with pytest.raises(
        OutputError, match=r"mine\.bim exists already; choose another --out or give --overwrite"
    ):
        simulate(tmp_path / "mine", **fields)
    assert (tmp_path / "mine.bim").read_text() == "precious"
    simulate(tmp_path / "mine", **fields, overwrite=True)
    assert len((tmp_path / "mine.bim").read_text().splitlines()) == 30


MEMORY = """
import resource, sys
from gp_elm.simulate import simulate
for m in (400, 8000):
    simulate(sys.argv[1], n_samples=5000, n_variants=m, n_additive=20, family_fraction=0.2, overwrite=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_variants(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "x")], capture_output=True, text=True, check=True
    )
    few, many = (int(line) * (1 if sys.platform == "darwin" else 1024) for line in answer.stdout.split())
    # the genotypes of the second cohort are 40 MB as bytes, 10 MB packed
    assert many - few < 25e6
