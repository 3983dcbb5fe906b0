"""`make bench`: what a run costs, as ratios taken in one run. Nothing here is asserted by a test."""
