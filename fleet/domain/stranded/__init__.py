"""Stranded capacity: free GPUs that no wanted shape can use, why, and the fewest pods whose move frees one more replica.

Pure. Whole GPUs only: a free MIG instance or share is a slot, not a GPU.
"""
