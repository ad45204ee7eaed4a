"""The search: relaxations, their merging into minima, and the check of the best with the engine."""
