"""WRITES. Actions, named by verbs; transactions live here and nowhere else."""
