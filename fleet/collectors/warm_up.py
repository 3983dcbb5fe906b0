"""Builds what msgspec and the catalogues build at first use, once, before any second thread or fork."""

from __future__ import annotations

import importlib
import pkgutil
import threading

import msgspec

import fleet.collectors
import fleet.domain
from fleet.domain.catalog import gpus, metrics, model_servers, models, monitors, thresholds, xids

_CATALOGUES = (gpus, metrics, model_servers, models, monitors, thresholds, xids)


def warm_up() -> int:
    """Loads every catalogue and builds the decoder of every struct of domain and collectors. Returns the number of decoders.

    msgspec before 0.23.0 crashes the process when two threads use a struct type for the first time (decision 16), so
    this runs in the main thread, from AppConfig.ready(). Raises RuntimeError elsewhere.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("warm_up() is called by the main thread, before any other is started.")
    for package in (fleet.domain, fleet.collectors):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for catalogue in _CATALOGUES:
        catalogue.load()
    return sum(_build(struct) for struct in _subclasses(msgspec.Struct))


def _build(struct: type[msgspec.Struct]) -> bool:
    """Whether the struct can be decoded: those with raw bytes or a client are only created in code."""
    try:
        msgspec.json.Decoder(struct)
    except TypeError:
        return False
    return True


def _subclasses(parent: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """Every struct type of this project, nested ones included."""
    subclasses = []
    for child in parent.__subclasses__():
        subclasses += _subclasses(child)
        if child.__module__.startswith("fleet."):
            subclasses.append(child)
    return subclasses
