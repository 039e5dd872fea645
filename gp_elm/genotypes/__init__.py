"""Genotypes of a cohort: frequencies, coding, filters, linkage disequilibrium, splits of the samples."""
