"""The domain uses no Django, browser, cache or connection: what prepares these before each test is replaced by nothing."""

from __future__ import annotations

import pytest


def _prepares_nothing() -> None:
    pass


for _name in (
    "_connections_are_closed",
    "_dj_autoclear_mailbox",
    "_django_clear_site_cache",
    "_django_db_marker",
    "_django_isolate_apps",
    "_django_set_urlconf",
    "_django_setup_unittest",
    "_live_server_helper",
    "_no_time_has_passed",
    "_pw_trace_api_requests",
    "_template_string_if_invalid_marker",
    "_throttles_start_empty",
):
    globals()[_name] = pytest.fixture(scope="session", autouse=True, name=_name)(_prepares_nothing)
