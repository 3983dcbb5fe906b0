"""Other installations of Muster on the same database.

Each connection of an installation carries a digest of its SECRET_KEY in its name (config/env.py): nothing is
stored; a stopped installation has no connection. Processes of one installation share the key, on however many hosts. Two keys on
one database are two installations: each removes the clusters that only the other is configured for, reads those of the same name
in turn, and cannot decrypt what the other encrypted.
"""

from __future__ import annotations

from django.db import connection

SECOND = (
    "Another installation of Muster uses this database. Stop it, or set DATABASE_URL to a separate database; "
    "to run one installation in several places, give all of them the same SECRET_KEY and clusters."
)
_DIGEST = "muster ________________"
"""LIKE pattern of a name with a digest. Commands without a key have none."""


def others() -> int:
    """Returns how many other installations are connected to this database now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT application_name) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE %s AND application_name <> %s",
            [_DIGEST, connection.settings_dict["OPTIONS"]["application_name"]],
        )
        return int(cursor.fetchone()[0])
