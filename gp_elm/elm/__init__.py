"""Equivalent linear mapping of trained networks, and what follows from it."""
