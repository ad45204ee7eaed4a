"""Files: frames as extended XYZ, tables as JSON, every write atomic and every read checked."""
