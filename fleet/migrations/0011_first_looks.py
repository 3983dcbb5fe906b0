"""Between which looks a node booted, and when a cluster was read first."""

from django.db import migrations, models
from django.db.models import Min


def _first_reads(apps, schema_editor):
    """As far as it is still known: when the first of a cluster's GPU nodes was seen."""
    for row in apps.get_model("fleet", "Node").objects.values("cluster").annotate(first=Min("first_seen_at")):
        apps.get_model("fleet", "Cluster").objects.filter(pk=row["cluster"]).update(first_read_at=row["first"])


class Migration(migrations.Migration):

    dependencies = [
        ("fleet", "0010_node_events"),
    ]

    operations = [
        migrations.AddField("node", "booted_after", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("cluster", "first_read_at", models.DateTimeField(blank=True, null=True)),
        migrations.RunPython(_first_reads, migrations.RunPython.noop),
    ]
