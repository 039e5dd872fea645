"""Linear predictors of traits from genotypes: yardsticks of the networks, and the offset that some start from."""
