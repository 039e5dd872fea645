"""Linear predictors of traits from genotypes: the yardsticks of the networks, and the offset some of them start from."""
