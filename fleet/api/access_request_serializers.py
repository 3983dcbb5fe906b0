"""Serializers of access requests and of the actions on them."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from fleet.api.protocol.fields import Body
from fleet.models import AccessRequest, ClassVersion


class StepSerializer(serializers.Serializer):
    """One step or comment of a request."""

    at = serializers.DateTimeField()
    kind = serializers.CharField()
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    text = serializers.CharField()
    detail = serializers.DictField()


class RequestSerializer(serializers.ModelSerializer):
    """An access request: what a team requests, its state, and the result of the newest check."""

    team = serializers.CharField(source="team.slug")
    workload_class = serializers.CharField(source="class_version.workload_class.slug")
    class_version = serializers.IntegerField(source="class_version.number")
    requested_by = serializers.CharField(source="requested_by.username", default=None, allow_null=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    steps = StepSerializer(many=True)

    class Meta:
        model = AccessRequest
        fields = [
            "id", "team", "workload_class", "class_version", "namespace", "name", "replicas", "gpus", "image", "hours",
            "purpose", "state",
            "automatic", "requested_by", "created_at", "submitted_at", "decided_at", "decided_by", "first_pod_at", "expires_at",
            "ended_at", "extension_until",
            "wanted_replicas", "latest_check", "steps",
        ]  # fmt: skip


class NewRequest(Body):
    """Body of a POST. With `submit` the request is submitted at once, else it stays a draft."""

    team = serializers.SlugField(max_length=63)
    workload_class = serializers.SlugField()
    namespace = serializers.CharField(max_length=63)
    name = serializers.CharField(max_length=63)
    replicas = serializers.IntegerField()
    gpus = serializers.IntegerField(
        required=False, allow_null=True, help_text="Slots per replica, where the class has several sizes."
    )
    hours = serializers.IntegerField(required=False, allow_null=True)
    image = serializers.CharField(required=False, allow_blank=True, max_length=400)
    purpose = serializers.CharField(required=False, allow_blank=True)
    submit = serializers.BooleanField(default=True)

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        slug = attrs.pop("workload_class")
        version = (
            ClassVersion.objects.filter(workload_class__slug=slug, workload_class__removed_at__isnull=True)
            .order_by("-number")
            .first()
        )
        if version is None:
            raise ValidationError({"workload_class": [f"Class {slug} not found."]})
        return {**attrs, "version": version}


class Reason(Body):
    reason = serializers.CharField(required=False, allow_blank=True, default="")


class Extension(Reason):
    hours = serializers.IntegerField()


class Size(Reason):
    replicas = serializers.IntegerField()


class Decision(Reason):
    grant = serializers.BooleanField()


class Comment(Body):
    text = serializers.CharField()
