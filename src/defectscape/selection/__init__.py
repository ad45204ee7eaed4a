"""Selection: which frames are worth an expensive label."""
