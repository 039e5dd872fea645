"""Running long jobs safely: atomic files, progress, provenance. Knows no genetics."""
