"""A cohort from files: genotypes, traits, covariates and groups of the same samples, filtered and coded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import xarray as xr

from gp_elm.errors import OptionError
from gp_elm.genotypes.sample_filters import IdList
from gp_elm.genotypes.selection import choose as choose_genotypes
from gp_elm.genotypes.selection import filter_and_code
from gp_elm.io.phenotypes import TableSource
from gp_elm.io.plink import PathLike
from gp_elm.io.traits import Names, check_traits
from gp_elm.opening import anndata_of, open_genotypes
from gp_elm.sample_tables import add_covariates, add_groups, add_phenotypes, groups_of_families, source_traits

if TYPE_CHECKING:
    import anndata as ad


def open_cohort(
    source: PathLike | xr.Dataset | ad.AnnData | None = None,
    *,
    bfile: PathLike | None = None,
    bed: PathLike | None = None,
    bim: PathLike | None = None,
    fam: PathLike | None = None,
    vcf: PathLike | None = None,
    regions: str | None = None,
    passed: bool = False,
    store: PathLike | None = None,
    pfile: PathLike | None = None,
    pgen: PathLike | None = None,
    pvar: PathLike | None = None,
    psam: PathLike | None = None,
    bgen: PathLike | None = None,
    sample: PathLike | None = None,
    bgen_reference: str | None = None,
    dosages: bool = False,
    pheno: TableSource | None = None,
    traits: Names | None = None,
    covar: TableSource | None = None,
    covar_names: Names | None = None,
    groups: TableSource | None = None,
    keep: IdList | None = None,
    remove: IdList | None = None,
    keep_fam: IdList | None = None,
    remove_fam: IdList | None = None,
    extract: IdList | None = None,
    exclude: IdList | None = None,
    chromosomes: str | Sequence[str | int] | None = None,
    from_bp: float | None = None,
    to_bp: float | None = None,
    snps_only: bool | str | None = None,
    maf: float | None = None,
    max_maf: float | None = None,
    mac: float | None = None,
    max_mac: float | None = None,
    geno: float | None = None,
    hwe: float | str | None = None,
    mind: float | None = None,
    ploidy: int | None = None,
    chr_set: str | int | None = None,
    xchr_model: int | None = None,
    chunk_variants: int | None = None,
) -> xr.Dataset:
    """Open genotypes with traits, covariates and groups; filter and code them.

    Samples: ``keep``, ``remove``, ``keep_fam``, ``remove_fam``, ``mind`` (over the variants chosen by name), then those
    with a trait and every covariate. Variants: ``chromosomes`` and their stretch, ``extract``, ``exclude``,
    ``snps_only``, then ``geno``, ``hwe``, ``maf`` and ``mac`` over these samples, founders or not. The genotypes are
    read once for the frequencies, block by block, and once more for ``mind``; those of X, Y and MT twice more.

    Parameters
    ----------
    source
        Anything that is understood, open or as a path: PLINK files, VCF, BCF, PGEN, BGEN, VCF Zarr, a saved cohort,
        AnnData. The options below it say the same one by one.
    bfile, bed, bim, fam, vcf, regions, passed, store, pfile, pgen, pvar, psam, bgen, sample, bgen_reference, dosages, \
    chunk_variants
        As for :func:`gp_elm.opening.open_genotypes`.
    pheno, traits
        As for :func:`add_phenotypes`; without ``pheno`` the traits that the source holds are used.
    covar, covar_names
        As for :func:`add_covariates`.
    groups
        As for :func:`add_groups`; without it, families of the FAM file are groups.
    keep, remove, keep_fam, remove_fam, extract, exclude, chromosomes, from_bp, to_bp, snps_only, mind, chr_set, \
    xchr_model
        As for :func:`gp_elm.genotypes.selection.choose`.
    maf, max_maf, mac, max_mac, geno, hwe
        As for :func:`gp_elm.genotypes.thresholds.variant_filter`.
    ploidy : {1, 2}, optional
        Overrides the detection of haploid and inbred cohorts.

    Returns
    -------
    xarray.Dataset
        A cohort with traits (:mod:`gp_elm.schema`).

    Raises
    ------
    InputError, OptionError
        Where a file or an option cannot be used.
    """
    adata = anndata_of(source)
    if adata is not None:
        pheno, covar, covar_names = _columns_of_obs(adata, pheno, traits, covar, covar_names)
    cohort = open_genotypes(
        source if adata is None else adata, bfile=bfile, bed=bed, bim=bim, fam=fam, vcf=vcf, regions=regions,
        passed=passed, store=store, pfile=pfile, pgen=pgen, pvar=pvar, psam=psam, bgen=bgen, sample=sample,
        bgen_reference=bgen_reference, dosages=dosages, chunk_variants=chunk_variants,
    )  # fmt: skip
    cohort = choose_genotypes(
        cohort, keep=keep, remove=remove, keep_fam=keep_fam, remove_fam=remove_fam, chromosomes=chromosomes,
        from_bp=from_bp, to_bp=to_bp, extract=extract, exclude=exclude, snps_only=snps_only, mind=mind,
        chr_set=chr_set, xchr_model=xchr_model,
    )  # fmt: skip
    if pheno is None and "sample_phenotype" in cohort:
        cohort = source_traits(cohort, traits)
    else:
        cohort = add_phenotypes(cohort, pheno, traits=traits)
    if covar is not None:
        n_before = cohort.sizes["samples"]
        cohort = add_covariates(cohort, covar, names=covar_names)
        if cohort.sizes["samples"] < n_before:
            hint = "leave it out with --traits, or leave out covariates with many missing values"
            check_traits(cohort["sample_phenotype"].to_numpy(), cohort["trait_id"].to_numpy(), "", hint)
    elif covar_names is not None:
        raise OptionError("--covar-name without --covar; give the table of covariates")
    cohort = add_groups(cohort, groups) if groups is not None else groups_of_families(cohort)
    return filter_and_code(
        cohort,
        maf=maf,
        max_maf=max_maf,
        mac=mac,
        max_mac=max_mac,
        geno=geno,
        hwe=hwe,
        ploidy=ploidy,
        chr_set=chr_set,
    )


def _columns_of_obs(
    adata: ad.AnnData,
    pheno: TableSource | None,
    traits: Names | None,
    covar: TableSource | None,
    covar_names: Names | None,
) -> tuple[TableSource | None, TableSource | None, Names | None]:
    """Traits and covariates that are named without a table are columns of an AnnData's ``obs``, or keys of ``obsm``."""
    from gp_elm.io.anndata_names import new_traits, obs_table

    if pheno is None and traits is not None:
        pheno = new_traits(adata, traits, "--traits")
    if covar is None and covar_names is not None:
        covar, covar_names = obs_table(adata, covar_names, "--covar-name", ids="covariate_id"), None
    return pheno, covar, covar_names
