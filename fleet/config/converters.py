"""Cluster names in URL paths of pages and API."""

from __future__ import annotations


class ClusterName:
    """A context of a kubeconfig may contain slashes (`arn:aws:eks:us-east-1:123456789012:cluster/prod`, `ns/host:6443/user`).

    A slash is written `~1`, and `~` therefore `~0`, as in JSON Pointer (RFC 6901). `%2F` does not work: servers and
    proxies turn it into a slash. In a query the name is written as it is.
    """

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return value.replace("~1", "/").replace("~0", "~")

    def to_url(self, value: str) -> str:
        return value.replace("~", "~0").replace("/", "~1")
