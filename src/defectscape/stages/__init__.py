"""The stages of the workflow, a function for each rule: read files, call the library, write files."""
