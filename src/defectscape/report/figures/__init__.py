"""The figures of the report, each a module named by what it draws: numbers first, then their drawing."""
