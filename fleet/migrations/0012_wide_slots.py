"""Requested and free slots are sums over what people write into pods: 32 bits do not hold them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("fleet", "0011_first_looks"),
    ]

    operations = [
        migrations.AlterField("pod", "slots", models.BigIntegerField(blank=True, null=True)),
        migrations.AlterField("node", "slots_requested", models.BigIntegerField(blank=True, null=True)),
        migrations.AlterField("node", "slots_free", models.BigIntegerField(blank=True, null=True)),
        migrations.AlterField("noderesource", "requested", models.BigIntegerField(blank=True, null=True)),
        migrations.AlterField("noderesource", "free", models.BigIntegerField(blank=True, null=True)),
    ]
