"""Loaded by schemathesis: manifests are YAML of several documents, which its own reader takes for an error of itself."""

from __future__ import annotations

from typing import Any

import schemathesis
import yaml


@schemathesis.deserializer("application/yaml", "application/x-yaml", "text/yaml")
def every_document(_: Any, response: Any) -> Any:
    """Returns the document, or the list of all where there are several."""
    documents = list(yaml.safe_load_all(response.content.decode(response.encoding or "utf-8")))
    return documents[0] if len(documents) == 1 else documents
