"""How a cluster's name stands in the path of an address, of a page as of the API."""

from __future__ import annotations


class ClusterName:
    """A context of a kubeconfig may hold slashes (`arn:aws:eks:us-east-1:123456789012:cluster/prod`, `ns/host:6443/user`).

    A slash is written `~1`, and so that it can be told from one that stands in the name, `~` as `~0`: as in JSON Pointer
    (RFC 6901). `%2F` would not do, servers and proxies turn it into a slash on the way. In a query the name stands as it is.
    """

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return value.replace("~1", "/").replace("~0", "~")

    def to_url(self, value: str) -> str:
        return value.replace("~", "~0").replace("/", "~1")
