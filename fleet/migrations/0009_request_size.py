"""Slots per replica that a team chose, where the class lets one choose."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', "0008_fleet_days"),
    ]

    operations = [
        migrations.AddField(
            model_name='classrequest',
            name='gpus',
            field=models.IntegerField(blank=True, null=True),
        ),
    ]
