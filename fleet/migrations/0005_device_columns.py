from django.db import migrations, models

import fleet.models.fields

# The version before still writes and reads `info`: the column stays, without a use, and goes with the next release (ADR 37).
_KEEP_INFO = "ALTER TABLE fleet_node ALTER COLUMN info SET DEFAULT '{}'"
_FILL_NODES = """
UPDATE fleet_node SET
    products = coalesce(nullif(info -> 'products', 'null'), '[]'),
    physical_is_lower_bound = coalesce((info ->> 'physical_is_lower_bound')::boolean, false),
    device_findings = coalesce(nullif(info -> 'findings', 'null'), '[]'),
    evidence = coalesce(nullif(info -> 'evidence', 'null'), '[]'),
    dra_pools = coalesce(nullif(info -> 'dra_pools', 'null'), '[]')
"""
_FILL_GPUS = """
UPDATE fleet_gpu SET held = (node.info -> 'cards' -> position ->> 'held')::boolean
FROM fleet_node node WHERE node.id = node_id
"""
_FILL_INSTANCES = """
UPDATE fleet_miginstance SET held = (node.info -> 'mig_devices' -> position ->> 'held')::boolean
FROM fleet_node node WHERE node.id = node_id
"""


def _facts() -> fleet.models.fields.FactsField:
    return fleet.models.fields.FactsField(db_default=[], default=list)


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0004_limits'),
    ]

    operations = [
        migrations.AddField(model_name='node', name='products', field=_facts()),
        migrations.AddField(
            model_name='node',
            name='physical_is_lower_bound',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(model_name='node', name='device_findings', field=_facts()),
        migrations.AddField(model_name='node', name='evidence', field=_facts()),
        migrations.AddField(model_name='node', name='dra_pools', field=_facts()),
        migrations.AddField(model_name='gpu', name='held', field=models.BooleanField(blank=True, null=True)),
        migrations.AddField(model_name='miginstance', name='held', field=models.BooleanField(blank=True, null=True)),
        migrations.RunSQL([_FILL_NODES, _FILL_GPUS, _FILL_INSTANCES, _KEEP_INFO], migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField(model_name='node', name='info')]),
    ]
