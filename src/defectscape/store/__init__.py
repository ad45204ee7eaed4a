"""The content-addressed label store: records, their files, and the journal of engine calls."""
