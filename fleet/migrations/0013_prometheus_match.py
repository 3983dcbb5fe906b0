"""Which of a Prometheus server's series are a cluster's, where it holds those of several."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("fleet", "0012_wide_slots"),
    ]

    operations = [
        migrations.AddField("cluster", "prometheus_match", models.CharField(blank=True, max_length=500)),
    ]
