"""The tables of the report, for the page and as CSV files, each module named by what its tables hold."""
