"""Days added up over the nodes of a group, filled from the days there are. The pools of those days stay untold until
`manage.py rebuild_days` tells them."""

from django.db import migrations, models


_FIGURES = "ready_s, degraded_s, not_ready_s, starting_s, unknown_s, excluded_s, incidents, flaps, down_s, repaired, repair_s"
_FILL = f"""
    INSERT INTO fleet_fleetday (day, cluster_id, product, machine_type, pool, nodes, first_bad_at, {_FIGURES})
    SELECT one.day, one.cluster_id, node.product, node.machine_type, one.pool, count(*), min(one.first_bad_at),
        {", ".join(f"sum(one.{name})" for name in _FIGURES.split(", "))}
    FROM fleet_nodeday AS one JOIN fleet_node AS node ON node.id = one.node_id GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0007_deliveries'),
    ]

    operations = [
        migrations.CreateModel(
            name='FleetDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('cluster_id', models.BigIntegerField()),
                ('product', models.CharField(blank=True, max_length=200)),
                ('machine_type', models.CharField(blank=True, max_length=200)),
                ('pool', models.CharField(blank=True, max_length=63)),
                ('nodes', models.IntegerField()),
                ('ready_s', models.BigIntegerField(default=0)),
                ('degraded_s', models.BigIntegerField(default=0)),
                ('not_ready_s', models.BigIntegerField(default=0)),
                ('starting_s', models.BigIntegerField(default=0)),
                ('unknown_s', models.BigIntegerField(default=0)),
                ('excluded_s', models.BigIntegerField(default=0)),
                ('incidents', models.IntegerField(default=0)),
                ('flaps', models.IntegerField(default=0)),
                ('down_s', models.BigIntegerField(default=0)),
                ('first_bad_at', models.DateTimeField(blank=True, null=True)),
                ('repaired', models.IntegerField(default=0)),
                ('repair_s', models.BigIntegerField(default=0)),
            ],
            options={
                'ordering': ['day', 'cluster_id', 'product', 'machine_type', 'pool'],
                'constraints': [models.UniqueConstraint(fields=('day', 'cluster_id', 'product', 'machine_type', 'pool'), name='fleet_day_once')],
            },
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
