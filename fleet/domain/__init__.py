"""DECIDES. Plain Python: no Django, no network, no clock.

Facts come in as frozen structs, `now` is an argument, answers go out with their evidence.
"""
