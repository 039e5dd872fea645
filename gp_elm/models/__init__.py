"""Networks from genotypes to traits: their modules, training, cross-fitting and prediction."""
