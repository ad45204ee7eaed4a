"""The model benchmark: learning curves of all strategies on the same families, labels and seeds."""
