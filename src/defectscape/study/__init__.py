"""A study on disk: its context, where its files are, and a typed reader and writer for each of them."""
