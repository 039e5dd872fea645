"""Compiled inner loops: arrays in, arrays out; no genetics, no files."""
