"""The options that commands share, by the names of the arguments that they become."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from gp_elm.errors import OptionError

Str, Num, Int = str | None, float | None, int | None


def option(kind: Any, flag: str, text: str, default: Any = None, **more: Any) -> tuple[Any, Any]:
    """Annotation and default of a parameter that becomes the flag."""
    return Annotated[kind, typer.Option(flag, help=text, **more)], default


# The options that every command with a cohort shares; names are those of gp_elm.cohort.open_cohort.
COHORT: dict[str, tuple[Any, Any]] = {
    "bfile": option(Str, "--bfile", "Prefix of a PLINK BED, BIM and FAM file."),
    "bed": option(Str, "--bed", "BED file, where the three have different prefixes."),
    "bim": option(Str, "--bim", "BIM file."),
    "fam": option(Str, "--fam", "FAM file."),
    "vcf": option(Str, "--vcf", "VCF or BCF; converted once, to a folder beside it."),
    "regions": option(Str, "--regions", "Parts of the VCF, such as chr1:1-2000000,chr2."),
    "passed": option(bool, "--pass", "Only records of the VCF whose FILTER is PASS.", False),
    "store": option(Str, "--store", "Folder for the converted VCF."),
    "pfile": option(Str, "--pfile", "Prefix of PLINK 2 PGEN, PVAR and PSAM files."),
    "pgen": option(Str, "--pgen", "PGEN file, where the three have different prefixes."),
    "pvar": option(Str, "--pvar", "PVAR file."),
    "psam": option(Str, "--psam", "PSAM file."),
    "bgen": option(Str, "--bgen", "BGEN file."),
    "sample": option(Str, "--sample", "SAMPLE file of the BGEN; the ids inside it where left out."),
    "bgen_reference": option(
        Str, "--bgen-reference", "Which allele of the BGEN is the reference: first or last."
    ),
    "source": option(Str, "--cohort", "Path of any of these, of VCF Zarr, of a saved cohort or of AnnData."),
    "dosages": option(bool, "--dosages", "Imputed dosages rather than hard calls.", False),
    "pheno": option(Str, "--pheno", "Table of traits by sample id; those of the source where left out."),
    "traits": option(Str, "--traits", "Traits to use, separated by commas; all where left out."),
    "covar": option(Str, "--covar", "Table of covariates by sample id."),
    "covar_names": option(Str, "--covar-name", "Covariates to use, separated by commas."),
    "groups": option(Str, "--groups", "Table with a label by sample id: samples of one label stay together."),
    "keep": option(Str, "--keep", "File of samples to keep."),
    "remove": option(Str, "--remove", "File of samples to leave out."),
    "keep_fam": option(Str, "--keep-fam", "File of families (FID) to keep."),
    "remove_fam": option(Str, "--remove-fam", "File of families (FID) to leave out."),
    "extract": option(Str, "--extract", "File of variants to keep."),
    "exclude": option(Str, "--exclude", "File of variants to leave out."),
    "chromosomes": option(Str, "--chr", "Chromosomes to keep, such as 1-4,7,X."),
    "from_bp": option(Num, "--from-bp", "First position to keep; with one chromosome in --chr."),
    "to_bp": option(Num, "--to-bp", "Last position to keep."),
    "snps_only": option(
        Str, "--snps-only", "Alleles of one character alone; just-acgt: A, C, G and T alone."
    ),
    "maf": option(Num, "--maf", "Least minor allele frequency."),
    "max_maf": option(Num, "--max-maf", "Largest minor allele frequency."),
    "mac": option(Num, "--mac", "Least count of the rarer allele."),
    "max_mac": option(Num, "--max-mac", "Largest count of the rarer allele."),
    "hwe": option(Str, "--hwe", "Least p-value of the exact Hardy-Weinberg test: 1e-6, or '1e-6 midp'."),
    "geno": option(Num, "--geno", "Largest share of missing calls of a variant."),
    "mind": option(Num, "--mind", "Largest share of missing calls of a sample."),
    "ploidy": option(Int, "--ploidy", "1 or 2; recognised where left out."),
    "chr_set": option(
        Str,
        "--chr-set",
        "Autosomes, such as 38 or '26 no-xy', or a species; told from the names where left out.",
    ),
    "xchr_model": option(Int, "--xchr-model", "Males on X: 2 (count 0/2; default) or 1 (0/1)."),
}
OFFSETS: dict[str, tuple[Any, Any]] = {
    "pred": option(
        Str, "--pred", "REGENIE's _pred.list: each chromosome's prediction is subtracted in the scan."
    ),
}
OWN_GWAS: dict[str, tuple[Any, Any]] = {
    "gwas": option(
        list[str] | None,
        "--gwas",
        "Your own GWAS in place of the scan: PLINK, REGENIE, GEMMA, SAIGE, BOLT-LMM, GWAS-SSF; give it again for "
        "further traits, TRAIT=FILE where the name does not say which.",
    ),
}
SPLIT: dict[str, tuple[Any, Any]] = {
    "seed": option(int, "--seed", "Seed of everything drawn.", 1),
    "folds": option(int, "--folds", "Cross-fitting folds.", 5),
    "heldout": option(float, "--heldout", "Share of the samples that no network sees.", 0.2),
    "split": option(
        Str, "--split", "A split to use: sample_id, set, fold (such as model/split.tsv of another run)."
    ),
}
NETWORK_VARIANTS: dict[str, tuple[Any, Any]] = {
    "max_variants": option(
        int, "--max-variants", "Variants that the networks see at the most, thinned by LD; 0 for all.", 50_000
    ),
    "variants_from": option(Str, "--variants-from", "File of the variants that the networks see instead."),
}
TRAINING: dict[str, tuple[Any, Any]] = {
    "preset": option(str, "--preset", "default, thorough, or pub (the pub's network and recipe).", "default"),
    "network": option(str, "--network", "auto, quadratic, leaky_relu, relu, gelu, silu or swiglu.", "auto"),
    "hidden": option(Str, "--hidden", "Widths of the hidden layers, such as 256 or 1024,1024."),
    "epochs": option(Int, "--epochs", "Most passes over the samples."),
    "batch": option(Int, "--batch", "Samples a step."),
    "members": option(Int, "--members", "Networks averaged in each fold."),
    "learning_rate": option(Num, "--learning-rate", "Step size."),
    "weight_decay": option(Num, "--weight-decay", "Squared penalty of the weights."),
    "l1": option(Num, "--l1", "Absolute penalty of a quadratic network's units."),
    "weighting": option(str, "--weighting", "auto, heredity (inputs weighted by the lasso) or none.", "auto"),
    "device": option(str, "--device", "auto, cpu or cuda.", "auto"),
    "precision": option(
        str, "--precision", "float32, bfloat16, or auto (bfloat16 on a GPU that has it).", "auto"
    ),
    "parallel_folds": option(
        int, "--parallel-folds", "Folds trained at the same time; 0: by the cores or GPUs and the work.", 0
    ),
    "checkpoint_minutes": option(
        float, "--checkpoint-minutes", "Time between two states of a training, to go on from.", 5.0
    ),
}
PAIRS: dict[str, tuple[Any, Any]] = {
    "max_exhaustive_pairs": option(
        int, "--max-exhaustive-pairs", "Up to this many pairs, all are tested.", 100_000_000
    ),
    "top_pairs": option(int, "--top-pairs", "Pairs listed for each trait and test.", 500),
    "max_ld": option(float, "--max-ld", "Pairs with a larger r2 stand in pairs_ld.", 0.1),
    "prior": option(
        str,
        "--prior",
        "heredity (rank pairs of loci with additive effects first, p-values as they are) or none.",
        "heredity",
    ),
}
OUT: dict[str, tuple[Any, Any]] = {
    "out": (Annotated[Path, typer.Option("--out", help="Results folder.")], inspect.Parameter.empty),
    "resume": option(
        bool, "--resume", "Go on from where the same command stopped; it does so anyway.", False
    ),
    "overwrite": option(bool, "--overwrite", "Replace another run in that folder.", False),
    "quiet": option(bool, "--quiet", "Warnings and errors only.", False),
}


_PLINK_WORDS = {
    "--snps-only": ("just-acgt", "all"),
    "--hwe": ("midp",),
    "--chr-set": ("no-x", "no-y", "no-xy", "no-mt"),
}


def join_plink_words(arguments: list[str]) -> list[str]:
    """Options that PLINK writes with several words, or with none, each with one value: ``--hwe=1e-6 midp``."""
    out: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in _PLINK_WORDS:
            values = [rest.pop(0)] if rest and word != "--snps-only" else []
            while rest and rest[0] in _PLINK_WORDS[word]:
                values.append(rest.pop(0))
            if word == "--snps-only" and not values:
                values = ["all"]
            word = f"{word}={' '.join(values)}" if values else word
        out.append(word)
    return out


def simulate_options() -> dict[str, tuple[Any, Any]]:
    """A flag for each option of the simulator; those per trait take one number, or one for each trait, by commas."""
    from dataclasses import MISSING, fields

    from gp_elm.simulate import SimulateOptions

    texts = _parameter_texts(SimulateOptions.__doc__ or "")
    options: dict[str, tuple[Any, Any]] = {}
    for each in fields(SimulateOptions):
        flag, text = f"--{each.name.replace('_', '-')}", texts.get(each.name, "")
        default = inspect.Parameter.empty if each.default is MISSING else each.default
        kind = {"int": int, "float": float, "str": str, "bool": bool}.get(str(each.type), str)
        if kind is str and not isinstance(default, str):
            default = f"{default:g}"
        options[each.name] = option(kind, flag, text, default)
    return options


def _parameter_texts(doc: str) -> dict[str, str]:
    """First sentence of each parameter of a numpydoc docstring."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(doc).splitlines():
        if " : " in line and not line.startswith(" "):
            names = [name.strip() for name in line.split(" : ")[0].split(",")]
        elif line.startswith("    "):
            for name in names:
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
        else:
            names = []
    return texts


def simulate_numbers(given: dict[str, Any]) -> dict[str, Any]:
    """Per-trait options from text to numbers."""
    from gp_elm.simulate import SimulateOptions

    out = dict(given)
    for name, value in given.items():
        kind = str(SimulateOptions.__annotations__[name])
        if "Sequence" in kind:
            number = int if kind.startswith("int") else float
            try:
                out[name] = [number(word) for word in str(value).split(",")]
            except ValueError as error:
                flag = f"--{name.replace('_', '-')}"
                raise OptionError(
                    f"{flag} {value} is no list of numbers; write such as 0.3 or 0.3,0.5"
                ) from error
    return out
