"""How much GPU memory a model needs, and on which GPUs it fits.

In: a model configuration, precision, context and concurrency, and the GPU products of a fleet. Out: `Sizing`: parameters, bytes,
and a parallel layout per product. It is a minimum for memory, not a recommendation. See `size.size`.
"""
