"""PRETENDS. A fleet of Kubernetes clusters over real HTTP, for demo, tests and bench; shares no code with the collectors."""
