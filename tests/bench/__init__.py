"""`make bench`: what a pass costs, as ratios taken in one run. Nothing here is asserted by a test."""
