"""`manage.py explain -f FILE`: why the pods of a manifest are scheduled or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.domain.placement.manifest_files import LARGEST
from fleet.domain.refusals import FieldError
from fleet.management.commands._database import running_database
from fleet.selectors.placement import explain as select


class Command(BaseCommand):
    help = "Explains where pods fit and why not on other nodes. Exit code 1 if they do not fit now, 2 if that is unknown."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("-f", "--filename", metavar="FILE", help="manifest; - reads the standard input")
        what.add_argument("--pod", metavar="CLUSTER/NAMESPACE/NAME", help="a pod that waits for a node")
        what.add_argument("--workload-class", metavar="SLUG", help="a workload class")
        parser.add_argument("--replicas", type=int, default=1, help="replicas of the class")
        parser.add_argument("--cluster", default="", help="only this cluster")

    def handle(self, *args: Any, **options: Any) -> None:
        with running_database():
            try:
                answer = self._answer(options)
            except FieldError as error:
                raise CommandError(str(error)) from error
            self._print(answer)
        fits = answer.main.explanation.fits
        if fits is not True:
            sys.exit(1 if fits is False else 2)

    def _answer(self, options: dict[str, Any]) -> select.Answer:
        now, cluster = timezone.now(), options["cluster"]
        if options["pod"]:
            return select.explain_pod(options["pod"], now)
        if options["workload_class"]:
            return select.explain_class(options["workload_class"], options["replicas"], now, cluster)
        return select.explain_manifest(_read(options["filename"]), now, cluster)

    def _print(self, answer: select.Answer) -> None:
        for pod in answer.pods:
            explanation = pod.explanation
            if len(answer.pods) > 1:
                self.stdout.write(f"{pod.title}:")
            self.stdout.write(explanation.headline)
            for group in explanation.reasons:
                opens = f"  (opens {group.opens:,})" if group.opens else ""
                self.stdout.write(f"{len(group.nodes):>7,}  {group.text}{opens}")
            for group in () if explanation.fits else explanation.suggestions()[:1]:
                if group.change is not None and group.change.patch:
                    self.stdout.write(f"Add to {pod.path}:\n{group.change.patch.rstrip()}")
            if pod.scheduler is not None:
                agrees = {True: "agrees", False: "differs", None: "cannot be compared"}[pod.scheduler.agrees]
                self.stdout.write(f"Scheduler ({agrees}): {pod.scheduler.message}")
            for warning in pod.warnings:
                self.stdout.write(f"Warning: {warning.text}")
            for gap in explanation.not_modelled:
                self.stdout.write(f"Not evaluated: {gap}")


def _read(filename: str) -> str:
    try:
        if filename == "-":
            return sys.stdin.read(LARGEST + 1)
        with Path(filename).open(encoding="utf-8") as lines:
            return lines.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{filename} cannot be read: {error}.") from error
