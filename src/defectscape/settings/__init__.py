"""Settings of a study: strict, frozen, documented; everything generated from them is tested."""
