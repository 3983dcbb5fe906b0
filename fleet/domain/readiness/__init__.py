"""The ladder: nine rungs on top of kubelet-ready, each evaluated from evidence; the verdict follows from them."""
