"""What a weight is by its name and shape, held against what transformers makes of it in its models."""

import re

import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as TO_SEQUENCE

from fp8core.layers import KINDS, kind_of

ALIKE = ("embedding", "head")  # either is left as it is; some heads are their model's embedding
KNOWN = [  # what these models call so is called otherwise in all others
    r"canine\.char_embeddings\..*", r"markuplm\.embeddings\.xpath_embeddings\..*", r"lilt\.layout_embeddings\.box_linear_embeddings", r".*relative_attention_bias_layer\.bias_values",
    r"model\.encoder\.layers\.\d+\.attn\.rel_pos_emb", r"transformer\.w", r"prophetnet\..*relative_pos_embeddings", r"head\.decoder",
]  # fmt: skip
OF_A_HEAD = r"(.*\.)?(lm_head|cls|classifier)\..*|.*\.(output_projection|patcher\.lm_head)"  # further matrices in it, and heads of parts of a model


def modules(auto, model_type):
    """Every module of one layer of a model with a matrix as weight, by name, and what it is."""
    config = transformers.AutoConfig.for_model(model_type)
    for name in {"num_hidden_layers", "encoder_layers", "decoder_layers", "num_layers", "n_layer"} & set(dir(config)):
        setattr(config, name, 1)
    with torch.device("meta"):
        model = auto.from_config(config)
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, torch.nn.Parameter) and weight.ndim == 2:
            routes = "router" in name.lower() or "Router" in type(module).__name__ or name.endswith("shared_expert_gate")
            yield name, tuple(weight.shape), "head" if module is head else "embedding" if "Embedding" in type(module).__name__ else "router" if routes else "matrix"


@pytest.mark.filterwarnings("ignore")  # of the models
@pytest.mark.parametrize(("auto", "types"), [(transformers.AutoModelForCausalLM, CAUSAL), (transformers.AutoModelForMaskedLM, MASKED), (transformers.AutoModelForSeq2SeqLM, TO_SEQUENCE)], ids=["causal", "masked", "to sequence"])
def test_what_weights_of_transformers_are(auto, types):
    wrong, seen = {}, 0
    for model_type in types:
        try:
            found = list(modules(auto, model_type))
        except Exception:  # a model that cannot be made from its default configuration is one that cannot be compared
            continue
        for name, shape, kind in found:
            got = kind_of(f"{name}.weight", shape)
            if not (got == kind or {got, kind} <= set(ALIKE) or (got == "head" and re.fullmatch(OF_A_HEAD, name)) or any(re.fullmatch(known, name) for known in KNOWN)):
                wrong[model_type, name] = (got, kind)
        seen += 1
    assert not wrong
    assert seen > 0.85 * len(types)


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("h.0.mlp.c_fc.weight", (768, 3072), "matrix"),
        ("model.embed_tokens.weight", (32000, 4096), "embedding"),
        ("conv1d.weight", (64, 32, 5), "convolution"),
        ("mlp.experts.gate_up_proj", (8, 64, 128), "experts"),
        ("norm.weight", (64,), "vector"),
        ("model.layers.0.block_sparse_moe.gate.weight", (8, 4096), "router"),  # as checkpoints have it, where the modules of transformers have other names
        ("model.layers.0.mlp.gate.weight", (64, 2048), "router"),
        ("model.layers.0.mlp.gate_proj.weight", (64, 2048), "matrix"),
        ("layers.0.feed_forward.w1.weight", (64, 32), "matrix"),
        ("tok_embeddings.weight", (128, 32), "embedding"),
        ("output.weight", (128, 32), "head"),
        ("bert.encoder.layer.0.attention.output.dense.weight", (32, 32), "matrix"),
        ("embedding_model.layers.0.q_proj.weight", (32, 32), "matrix"),
        ("attn.score_proj.weight", (32, 32), "matrix"),
        ("weight/lm_head", (32, 32), "head"),
        ("logit_scale", (), "scalar"),
    ],
)
def test_kinds(name, shape, kind):
    assert kind_of(name, shape) == kind
    assert kind in KINDS


