"""RUNS. One machine, one command: interpreter set-up, Postgres, broker and the supervisor of all our processes."""
