"""How labels of two fidelities make one model: one module each, over the phases of ``phase.py``."""
