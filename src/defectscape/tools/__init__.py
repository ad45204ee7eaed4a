"""What people call on a study of their own: check, import, data sets, convergence, comparisons of its search."""
