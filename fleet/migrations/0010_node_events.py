"""What outside monitors told in Kubernetes Events, as the last truth of that section."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("fleet", "0009_request_size"),
    ]

    operations = [
        migrations.AddField(
            model_name="cluster",
            name="events",
            field=models.JSONField(default=list),
        ),
    ]
