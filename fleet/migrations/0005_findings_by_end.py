"""Findings found by when they ended: the list of those resolved lately."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0004_pools")]

    operations = [
        migrations.AddIndex(
            model_name="findingrow",
            index=models.Index(models.Func(models.F("period"), function="upper"), name="finding_by_end"),
        ),
    ]
