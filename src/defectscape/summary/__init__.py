"""The summary of a study: its schema, and what fills it."""
