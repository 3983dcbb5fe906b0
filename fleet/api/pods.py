"""Pods on GPU nodes."""

from __future__ import annotations

from rest_framework import serializers

from fleet.models import Pod


class PodSerializer(serializers.ModelSerializer):
    """A pod that matters: it asks for slots, holds them, belongs to the GPU stack, or sits on a GPU node."""

    component = serializers.SerializerMethodField()
    owner = serializers.SerializerMethodField()

    class Meta:
        model = Pod
        fields = [
            "namespace", "name", "uid", "phase", "ready", "reason", "component", "owner", "requests", "slots", "holds",
            "created_at",
        ]  # fmt: skip

    def get_component(self, pod: Pod) -> str | None:
        return pod.component or None

    def get_owner(self, pod: Pod) -> str | None:
        kind, name = pod.snapshot.get("owner_kind"), pod.snapshot.get("owner_name")
        return f"{kind}/{name}" if kind and name else None
