"""`manage.py collect [CLUSTER …]`: one collection now, in the foreground."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from fleet.collectors.errors import ConfigurationError
from fleet.management.commands._database import running_database
from fleet.models import Cluster, CollectionRun, RunOutcome
from fleet.selectors import clusters
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster

_WIDTH = 30


class Command(BaseCommand):
    help = "Collects clusters once, now, and prints the outcome. Exit code 1 if any of them failed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("clusters", nargs="*", metavar="CLUSTER", help="names; default: every configured cluster")

    def handle(self, *args: Any, **options: Any) -> None:
        with running_database():
            try:
                configured = {cluster.name: cluster for cluster in register_clusters()}
            except ConfigurationError as error:
                raise CommandError(str(error)) from error
            wanted = options["clusters"] or sorted(configured)
            for name in wanted if options["clusters"] else ():
                if name not in configured and (keeper := clusters.keeper_of(name)):
                    self.stdout.write(f"Context {name} leads to the same cluster as {keeper}: collecting {keeper}.")
            wanted = list(dict.fromkeys(name if name in configured else clusters.keeper_of(name) or name for name in wanted))
            if strangers := [name for name in wanted if name not in configured]:
                there = ", ".join(sorted(configured)) or "none"
                raise CommandError(f"There is no cluster {', '.join(strangers)}. Configured: {there}.")
            if not wanted:
                raise CommandError(
                    "No cluster is configured. Set MUSTER_KUBECONFIG, or start `manage.py run`, which simulates some."
                )
            failed = self._collect([configured[name] for name in wanted])
        if failed:
            sys.exit(1)

    def _collect(self, rows: list[Cluster]) -> bool:
        results: dict[str, CollectionRun | None] = {}
        errors: dict[str, BaseException] = {}
        with ThreadPoolExecutor(max_workers=min(8, len(rows))) as pool:
            passes: dict[Future[CollectionRun | None], str] = {pool.submit(_read, cluster): cluster.name for cluster in rows}
            self._progress(0, len(passes))
            for done in as_completed(passes):
                if error := done.exception():
                    errors[passes[done]] = error
                    results[passes[done]] = None
                else:
                    results[passes[done]] = done.result()
                self._progress(len(results), len(passes))
        return self._table(results, errors)

    def _progress(self, done: int, total: int) -> None:
        """A bar on a terminal; nothing where the output goes into a file."""
        if self.stderr.isatty():
            filled = _WIDTH * done // total
            self.stderr.write(f"\r[{'█' * filled}{'·' * (_WIDTH - filled)}] {done} of {total} clusters", ending="")
            if done == total:
                self.stderr.write("")

    def _table(self, results: dict[str, CollectionRun | None], errors: dict[str, BaseException]) -> bool:
        width = max(7, *(len(name) for name in results))
        self.stdout.write(f"{'CLUSTER':<{width}}  {'OUTCOME':<8} {'GPU NODES':>9} {'PODS':>6} {'CHANGES':>7} {'SECONDS':>7}")
        failed = False
        for name in sorted(results):
            run = results[name]
            if error := errors.get(name):
                failed = True
                reason = (str(error).strip().splitlines() or [""])[0]
                self.stdout.write(f"{name:<{width}}  {'failed':<8} Muster itself failed: {type(error).__name__}: {reason}")
                continue
            if run is None:
                self.stdout.write(f"{name:<{width}}  {'busy':<8} another worker is collecting it")
                continue
            failed |= run.outcome == RunOutcome.FAILED
            seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else 0.0
            self.stdout.write(
                f"{name:<{width}}  {run.outcome:<8} {_figure(run.nodes):>9} {_figure(run.pods):>6} "
                f"{_figure(run.changes):>7} {seconds:>7.1f}"
            )
            for section in run.sections:
                if section["outcome"] not in ("collected", "absent"):
                    self.stdout.write(f"{'':<{width}}  {section['name']}: {section['reason']}")
            run.cluster.refresh_from_db()
            if run.error and (not run.sections or run.cluster.same_as_id is not None):
                self.stdout.write(f"{'':<{width}}  {run.error}")
            for context in clusters.other_contexts(run.cluster):
                self.stdout.write(f"{'':<{width}}  context {context.name} leads to the same cluster ({context.reason})")
        return failed


def _figure(value: int | None) -> str:
    return "?" if value is None else str(value)


def _read(cluster: Cluster) -> CollectionRun | None:
    try:
        return collect_cluster(cluster, trigger="cli")
    finally:
        connection.close()
