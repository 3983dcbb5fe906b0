"""Sizing: how much memory a model needs, and on which GPUs and in which classes it fits."""

from __future__ import annotations

from typing import TypedDict

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import whole_list
from fleet.domain.catalog import models as catalog
from fleet.domain.refusals import FieldError
from fleet.domain.sizing.config import Json, ModelConfig
from fleet.domain.sizing.memory import BYTES, KV_DTYPES
from fleet.domain.sizing.model_parameters import count
from fleet.domain.sizing.reading import read_config
from fleet.domain.sizing.size import OVERHEAD_BYTES, UTILIZATION, Question
from fleet.models import Role
from fleet.selectors.placement.sizing import FleetSizing, size_model

MOST_TOKENS, MOST_SEQUENCES = 100_000_000, 1_000_000


class SizingQuestion(Body):
    """A model of the catalogue or a config.json, and its load."""

    model = serializers.CharField(required=False, max_length=100, help_text="Id of a model of the catalogue (models/).")
    config = serializers.DictField(required=False, help_text="The content of a config.json in Hugging Face's shape.")
    weights_dtype = serializers.ChoiceField(sorted(BYTES), required=False, help_text="Defaults to the stored type.")
    kv_dtype = serializers.ChoiceField(KV_DTYPES, default="bf16")
    context_tokens = serializers.IntegerField(min_value=1, max_value=MOST_TOKENS, default=8_192)
    concurrency = serializers.IntegerField(min_value=1, max_value=MOST_SEQUENCES, default=1, help_text="Sequences at once.")
    products = serializers.ListField(child=serializers.CharField(max_length=300), required=False, max_length=100)
    gpu_memory_utilization = serializers.FloatField(min_value=0.05, max_value=1.0, default=UTILIZATION)
    overhead_bytes = serializers.IntegerField(min_value=0, max_value=2**40, default=OVERHEAD_BYTES, help_text="Per GPU.")

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if ("model" in attrs) == ("config" in attrs):
            raise ValidationError({"model": ["Give either model or config."]})
        return attrs


class SizingParameters(serializers.Serializer):
    total = serializers.IntegerField()
    active = serializers.IntegerField(help_text="Parameters used for one token: fewer than all in a mixture of experts.")


class SizingBytes(serializers.Serializer):
    weights = serializers.IntegerField()
    kv_per_token = serializers.IntegerField()
    kv_total = serializers.IntegerField()
    overhead = serializers.IntegerField(help_text="Per GPU, an assumption.")


class SizingLayout(serializers.Serializer):
    product = serializers.CharField()
    gpus_per_node = serializers.IntegerField()
    nodes = serializers.IntegerField()
    tensor_parallel = serializers.IntegerField()
    pipeline_parallel = serializers.IntegerField()
    expert_parallel = serializers.IntegerField()
    data_parallel = serializers.IntegerField()
    fits = serializers.BooleanField()
    free_bytes_per_gpu = serializers.IntegerField(allow_null=True)
    max_sequences = serializers.IntegerField(allow_null=True)
    why_not = serializers.CharField(allow_null=True)


class SizingClass(serializers.Serializer):
    slug = serializers.CharField()
    gpus = serializers.IntegerField(help_text="Slots per replica to request.")
    replicas_now = serializers.IntegerField()


class SizingAnswer(serializers.Serializer):
    parameters = SizingParameters()
    bytes = SizingBytes()
    minimum_gpus = serializers.DictField(child=serializers.IntegerField(), help_text="By product: a floor by memory alone.")
    layouts = SizingLayout(many=True)
    classes = SizingClass(many=True)
    assumptions = serializers.ListField(child=serializers.CharField())
    as_of = serializers.DateTimeField(allow_null=True)


class CatalogModel(serializers.Serializer):
    id = serializers.CharField()
    title = serializers.CharField()
    repository = serializers.CharField()
    parameters = serializers.IntegerField(help_text="As published.")
    active = serializers.IntegerField(allow_null=True)
    max_context = serializers.IntegerField(allow_null=True)
    weights_dtype = serializers.CharField()


class SizingView(APIView):
    """What a model needs, and where it fits."""

    roles = {None: Role.VIEWER}

    @extend_schema(operation_id="sizing", request=SizingQuestion, responses=SizingAnswer)
    def post(self, request: Request) -> Response:
        """Parameters, bytes, a parallel layout per product of this fleet, and the classes that hold it with their room now.

        A minimum for memory, not a recommendation. Nothing of the request is stored.
        """
        asked = SizingQuestion(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = asked.validated_data
        question = Question(
            config=config_of(fields),
            weights_dtype=fields.get("weights_dtype", ""),
            kv_dtype=fields["kv_dtype"],
            context_tokens=fields["context_tokens"],
            concurrency=fields["concurrency"],
            overhead_bytes=fields["overhead_bytes"],
            utilization=fields["gpu_memory_utilization"],
        )
        return Response(as_json(size_model(question, timezone.now(), fields.get("products", ()))))


class Models(APIView):
    """Models that sizing knows by name."""

    @extend_schema(operation_id="models", responses=whole_list("CatalogModels", CatalogModel(many=True)))
    def get(self, request: Request) -> Response:
        """Every model of the catalogue with its published number of parameters."""
        return Response({"results": [model_json(model) for model in catalog.load().model], "next": None, "previous": None})


class AskedModel(TypedDict, total=False):
    """The part of SizingQuestion that names a configuration: one of the two."""

    model: str
    config: dict[str, Json]


def config_of(fields: AskedModel) -> ModelConfig:
    """Returns the configuration that a question is about. Raises ValidationError with the field."""
    if "model" in fields:
        model = catalog.by_id().get(fields["model"])
        if model is None:
            raise ValidationError({"model": [f"Model {fields['model']} is not in the catalogue. List models with GET models/."]})
        return read_config(model.config)
    try:
        return read_config(fields["config"])
    except FieldError as error:
        raise ValidationError({f"config.{error.field}" if error.field else "config": [str(error)]}) from error


def model_json(model: catalog.Model) -> dict[str, object]:
    config = read_config(model.config)
    return {
        "id": model.id,
        "title": model.title,
        "repository": model.repository,
        "parameters": model.parameters,
        "active": count(config).active if config.experts else None,
        "max_context": config.max_context,
        "weights_dtype": config.weights_dtype,
    }


def as_json(answer: FleetSizing) -> dict[str, object]:
    """Returns the answer in the shape of SizingAnswer."""
    sizing = answer.sizing
    return {
        "parameters": {"total": sizing.parameters.total, "active": sizing.parameters.active},
        "bytes": {
            "weights": sizing.weights.total,
            "kv_per_token": sizing.kv_per_token,
            "kv_total": sizing.kv_total,
            "overhead": sizing.overhead_bytes,
        },
        "minimum_gpus": sizing.minimum_gpus,
        "layouts": SizingLayout(sizing.layouts, many=True).data,
        "classes": [{"slug": row.slug, "gpus": row.gpus, "replicas_now": row.replicas_now} for row in answer.classes],
        "assumptions": list(sizing.assumptions),
        "as_of": answer.as_of,
    }
