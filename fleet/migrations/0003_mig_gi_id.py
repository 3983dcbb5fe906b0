from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "0002_readiness")]

    operations = [
        migrations.AddField("cluster", "incomplete_pools", models.JSONField(default=list)),
        migrations.AddField("miginstance", "gi_id", models.CharField(blank=True, default="", max_length=10), preserve_default=False),
    ]
