"""The model: a committee of charge-embedded, two-head MACE potentials, trained and asked here."""
