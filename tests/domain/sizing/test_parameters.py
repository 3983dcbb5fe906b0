"""Parameters computed from a configuration against what was published, over the whole catalogue."""

from __future__ import annotations

import pytest

from fleet.domain.catalog import models
from fleet.domain.catalog.models import Model
from fleet.domain.sizing.model_parameters import count
from fleet.domain.sizing.reading import read_config

MODELS = models.load().model


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_computed_parameters_agree_with_the_published_total_within_one_percent(model: Model) -> None:
    assert count(read_config(model.config)).total == pytest.approx(model.parameters, rel=0.01)


@pytest.mark.parametrize("model", [model for model in MODELS if model.active], ids=lambda model: model.id)
def test_active_parameters_are_those_that_one_token_passes(model: Model) -> None:
    """Publishers round, and some leave the embeddings out: gpt-oss by 0.58 billion, GLM-4.5 Air by 1.2 billion."""
    parameters = count(read_config(model.config))
    published = model.active or 0
    assert parameters.active - parameters.embeddings <= published * 1.05
    assert published * 0.95 <= parameters.active


def test_the_catalogue_has_at_least_sixty_models_of_every_kind() -> None:
    configs = [read_config(model.config) for model in MODELS]
    assert len({model.id for model in MODELS}) == len(MODELS) >= 60
    assert any(config.experts for config in configs)
    assert any(config.latent for config in configs)
    assert any(config.window_layers for config in configs)
    assert any(config.linear and config.linear_layers < config.layers for config in configs), "hybrid"
    assert any(config.linear_layers == config.layers for config in configs), "state space only"
    assert any(config.extra_parameters for config in configs), "multimodal"
    assert any(not config.has_head for config in configs), "embedding"
    totals = [model.parameters for model in MODELS]
    assert min(totals) < 0.6e9
    assert max(totals) > 1e12


def test_tied_embeddings_count_once_and_untied_twice() -> None:
    config = models.by_id()["llama-3.2-1b"].config
    tied, untied = count(read_config(config)), count(read_config({**config, "tie_word_embeddings": False}))
    assert untied.total - tied.total == 128_256 * 2_048


def test_a_mixture_of_experts_takes_memory_for_all_and_compute_for_few() -> None:
    parameters = count(read_config(models.by_id()["deepseek-v3"].config))
    assert parameters.experts == 58 * 256 * 3 * 7168 * 2048
    assert parameters.active_experts == 58 * 8 * 3 * 7168 * 2048
