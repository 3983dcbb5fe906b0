"""The ladder: nine rungs on top of kubelet-ready, each answered from evidence; the verdict follows from them."""
