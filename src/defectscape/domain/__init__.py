"""The nouns of the field: defect keys, frames, labels, minima, levels. Pure data, no I/O."""
