"""One module per stage of the DAG: read files, call the library, write files. No science here."""
