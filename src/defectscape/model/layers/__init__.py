"""mace's layers, arranged for speed."""
