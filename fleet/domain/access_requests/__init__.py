"""A team's requests for a workload class.

In: a request, who acts, and what they may do. Out: the next state, or why the step is refused.
"""
