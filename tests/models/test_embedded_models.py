"""The two real models: what they were published as is what is loaded."""

import time

import pytest
import torch

from renga.errors import RengaError
from renga.models.references import describe, load
from renga.models.template import Template

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=["SmolLM2-135M-Instruct", "gemma-3-270m"])
def loaded(request):
    try:
        return load(request.param)
    except RengaError as error:
        pytest.skip(f"{error.message}: {error.hint}")


def test_a_later_load_is_quick_and_says_the_same(loaded):
    started = time.process_time()  # our own work: what other processes take is none of it
    again = load(loaded.reference)
    assert time.process_time() - started < 5
    ids = torch.tensor([Template.of(loaded).prompt_ids(loaded.tokenizer, "What is linked verse?")])
    with torch.inference_mode():
        assert torch.equal(again.model(ids).logits, loaded.model(ids).logits)
    assert again.fingerprint == loaded.fingerprint == describe(loaded.reference).fingerprint


@torch.inference_mode()
def test_it_answers(loaded):
    ids = Template.of(loaded).prompt_ids(loaded.tokenizer, "What is the capital of France?")
    answer = loaded.model.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False)[0, len(ids) :]
    assert loaded.tokenizer.decode(answer).startswith("The capital of France is Paris.")


@torch.inference_mode()
def test_plain_english_costs_what_it_should(loaded):
    """Well under a bit per byte; half of the layers, norms or positions wrong, and it is above two."""
    text = (
        "In the morning the river was covered with mist, and nobody on the other bank could be seen. "
        "The old man sat down by the door, lit his pipe, and waited for the boat to come back."
    )
    ids = torch.tensor([loaded.tokenizer.encode(text)])
    loss = loaded.model(ids, labels=ids).loss.item()
    assert 0.4 < loss * (ids.shape[1] - 1) / len(text) / 0.6931 < 1.2


def test_smollm2_is_as_published():
    loaded = load("SmolLM2-135M-Instruct")
    config, template = loaded.model.config, Template.of(loaded)
    assert (config.rms_norm_eps, config.rope_parameters["rope_theta"]) == (1e-5, 100_000.0)
    assert (config.hidden_size, config.num_hidden_layers, config.num_key_value_heads) == (576, 30, 3)
    assert config.max_position_embeddings == 8192
    assert config.tie_word_embeddings
    assert loaded.chat
    assert loaded.licence == "Apache-2.0"
    assert loaded.tokenizer.convert_ids_to_tokens(template.end) == "<|im_end|>"
    # <|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n
    asked = [1, 9690, 198, 2, 198, 1, 4093, 198, 26843, 17, 2, 198, 1, 520, 9531, 198]
    assert template.prompt_ids(loaded.tokenizer, "Hi!") == asked
    assert loaded.tokenizer.encode("  5 2024") == [256, 37, 216, 34, 32, 34, 36]


def test_gemma3_is_as_published():
    loaded = load("gemma-3-270m")
    config, template = loaded.model.config, Template.of(loaded)
    assert config.layer_types == (["sliding_attention"] * 5 + ["full_attention"]) * 3
    assert config.rope_parameters["full_attention"]["rope_theta"] == 1_000_000.0
    assert config.rope_parameters["sliding_attention"]["rope_theta"] == 10_000.0
    assert (config.sliding_window, config.query_pre_attn_scalar, config.head_dim) == (512, 256, 256)
    assert (config.rms_norm_eps, config.max_position_embeddings) == (1e-6, 32_768)
    assert config.final_logit_softcapping is None
    assert config.tie_word_embeddings
    assert loaded.model.get_output_embeddings().weight is loaded.model.get_input_embeddings().weight
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (2, 1, 0)
    assert not loaded.chat
    assert (template.bos, template.end) == (2, 1)
    assert loaded.tokenizer.convert_ids_to_tokens([105, 2364, 107, 106]) == [
        "<start_of_turn>",
        "user",
        "\n",
        "<end_of_turn>",
    ]
    # <bos>Question: What is the capital of France?\nAnswer:\n
    asked = [2, 14977, 236787, 2900, 563, 506, 5279, 529, 7001, 236881, 107, 7925, 236787, 107]
    assert template.prompt_ids(loaded.tokenizer, "What is the capital of France?") == asked
