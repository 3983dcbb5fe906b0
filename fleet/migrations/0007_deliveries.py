"""Deliveries keep their log when their rule or target goes, and a lasting id for receivers; periods are found by their end."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0006_history'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='ended_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='delivery',
            name='held',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='delivery',
            name='rule_name',
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name='delivery',
            name='target',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='deliveries', to='fleet.notificationtarget'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='target_name',
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AddField(
            model_name='delivery',
            name='uid',
            field=models.UUIDField(default=uuid.uuid4, editable=False),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='rule',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='deliveries', to='fleet.notificationrule'),
        ),
        migrations.AlterField(
            model_name='deliveryitem',
            name='notice',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='fleet.notice'),
        ),
        migrations.AlterField(
            model_name='deliveryitem',
            name='rule',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to='fleet.notificationrule'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['-created_at', '-id'], name='delivery_newest_first'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['-ended_at'], name='delivery_ended'),
        ),
        migrations.AddIndex(
            model_name='notice',
            index=models.Index(fields=['key', 'at'], name='notice_by_key'),
        ),
        migrations.AddIndex(
            model_name='verdictperiod',
            index=models.Index(models.Func(models.F('period'), function='upper'), name='verdict_by_end'),
        ),
    ]
