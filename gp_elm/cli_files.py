"""Commands that make and change files: convert, annotate, compare, report, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gp_elm.cli_app import command, pick
from gp_elm.cli_options import COHORT, OUT, simulate_numbers, simulate_options


@command(OUT, COHORT)
def convert(
    to: Annotated[
        str, typer.Option("--to", help="h5ad (AnnData), zarr (opens again as it is) or vcz (VCF Zarr).")
    ] = "h5ad",
    **given: Any,
) -> None:
    """Write the cohort as AnnData, samples x variants with traits and covariates in .obs, or as Zarr.

    Example: gp-elm convert --vcf cohort.vcf.gz --pheno traits.tsv --out converted/
    """
    from gp_elm.classical import write_cohort

    written = write_cohort(pick(given, COHORT), given["out"], to=to, overwrite=given["overwrite"])
    typer.echo(f"cohort: {written}")


@command({"quiet": OUT["quiet"]})
def annotate(
    vcf: Annotated[Path, typer.Option("--vcf", help="Your VCF or BCF; it is not changed.")],
    folder: Annotated[Path, typer.Option("--run", help="Finished run, or its table of variants.")],
    out: Annotated[Path, typer.Option("--out", help="VCF to write: .vcf.gz (indexed) or .vcf.")],
    traits: Annotated[str | None, typer.Option("--traits", help="Traits, separated by commas.")] = None,
    **given: Any,
) -> None:
    """Write the effects of a run into a copy of your VCF, as INFO fields of each trait.

    Example: gp-elm annotate --vcf cohort.vcf.gz --run results/ --out annotated.vcf.gz
    """
    from gp_elm.io.vcf_info import write_vcf_info

    typer.echo(f"VCF: {write_vcf_info(vcf, folder, out, traits=traits.split(',') if traits else None)}")


@command(OUT)
def compare(
    gwas_table: Annotated[
        list[str],
        typer.Option(
            "--gwas",
            help="Results of PLINK, REGENIE, GEMMA, SAIGE, BOLT-LMM or GWAS-SSF, or a variants table; give it again "
            "for further traits, TRAIT=FILE where the name does not say which.",
        ),
    ],
    elm_table: Annotated[Path, typer.Option("--elm", help="Variants table with ELM columns.")],
    **given: Any,
) -> None:
    """Join the ELM columns of a run to the rows of a GWAS, by position and alleles: variants, comparison.tsv.

    Example: gp-elm compare --gwas 'plink.*.glm.linear' --elm results/variants.parquet --out both/
    """
    from gp_elm.classical import write_comparison

    typer.echo(
        f"table: {write_comparison(gwas_table, elm_table, given['out'], overwrite=given['overwrite'])}"
    )


@command()
def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")], **given: Any) -> None:
    """Write report.html again from the tables of a finished run.

    Example: gp-elm report results/
    """
    from gp_elm.report.page import report_folder

    typer.echo(f"report: {report_folder(folder)}")


def _register_simulate() -> None:
    """The simulate command takes its options from the simulator's own."""

    @command(simulate_options())
    def simulate(
        out: Annotated[Path, typer.Option("--out", help="Prefix of the files to write.")],
        **given: Any,
    ) -> None:
        """Simulate a cohort with known effects: PLINK files, traits, covariates and truth tables.

        Example: gp-elm simulate --n-samples 2000 --n-variants 1000 --seed 1 --out sim/cohort
        """
        from gp_elm import simulate as simulator

        simulator.simulate(out, options=simulator.SimulateOptions(**simulate_numbers(given)))
        typer.echo(f"cohort: {out}.bed")


_register_simulate()
