"""Genotypes on disk in the order that training and prediction read them: sample by sample, two bits a call."""
