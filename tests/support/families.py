"""Small classifiers of many families of transformers, with random weights from fixed seeds.

`make` writes one as its author would publish it: config.json, weights and a tokenizer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: Characters that the word-piece and unigram tokenizers know: several scripts, not all of any.
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-äößéñçøžбдеимнопрстуявкλογοςאבגدرسمनमसतेกขค你好世界今天日本語한국어😀🎉"
WORDS = ("the", "cake", "tea", "was", "is", "very", "good", "bad", "not", "we", "train", "late", "again", "##s", "##ing", "##ed")

_LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 32}
_ENCODER = {**_LAYERS, "max_position_embeddings": 64}
_OFFSET = {**_LAYERS, "max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
_DECODER = {**_ENCODER, "num_key_value_heads": 1, "head_dim": 16}
_SEQ2SEQ = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 2,
    "eos_token_id": 3, "decoder_start_token_id": 2, "forced_eos_token_id": 3,
}  # fmt: skip

#: Family (``model_type`` of its config.json) -> what makes it small. The tokenizer is chosen by `tokenizer_for`.
FAMILIES: dict[str, dict[str, Any]] = {
    "albert": {**_ENCODER, "embedding_size": 16},
    "bert": _ENCODER,
    "big_bird": {**_ENCODER, "attention_type": "original_full"},
    "camembert": _OFFSET,
    "canine": {**_ENCODER, "local_transformer_stride": 16, "num_hash_buckets": 64, "downsampling_rate": 2},
    "convbert": {**_ENCODER, "embedding_size": 16, "conv_kernel_size": 3},
    "data2vec-text": _OFFSET,
    "deberta": {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {
        **_ENCODER, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16, "norm_rel_ebd": "layer_norm",
        "share_att_key": True, "position_biased_input": False,
    },
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64},
    "electra": {**_ENCODER, "embedding_size": 16},
    "ernie": _ENCODER,
    "fnet": _ENCODER,
    "funnel": {"block_sizes": [1, 1], "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 32, "num_decoder_layers": 1},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 64},
    "gpt_neox": _ENCODER,
    "gemma": _DECODER,
    "ibert": _OFFSET,
    "llama": _DECODER,
    "longformer": {**_OFFSET, "num_hidden_layers": 1, "attention_window": 8},
    "mistral": _DECODER,
    "mobilebert": {**_ENCODER, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "modernbert": {**_ENCODER, "local_attention": 8, "global_attn_every_n_layers": 2, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3,
                   "bos_token_id": 2, "eos_token_id": 3},
    "mpnet": _OFFSET,
    "nystromformer": {**_ENCODER, "num_landmarks": 8, "segment_means_seq_len": 64},
    "opt": {**_LAYERS, "ffn_dim": 32, "word_embed_proj_dim": 32, "max_position_embeddings": 64, "pad_token_id": 1},
    "phi": _DECODER,
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "rembert": {**_ENCODER, "input_embedding_size": 16, "output_embedding_size": 16},
    "roberta": _OFFSET,
    "roformer": {**_ENCODER, "embedding_size": 32},
    "squeezebert": {**_ENCODER, "embedding_size": 32},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 64, "pad_index": 0},
    "xlm-roberta": _OFFSET,
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 32},
    "bart": {**_SEQ2SEQ, "pad_token_id": 1, "eos_token_id": 2, "bos_token_id": 0},
    "mbart": _SEQ2SEQ,
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "decoder_start_token_id": 0,
           "pad_token_id": 0, "eos_token_id": 3},
}  # fmt: skip

#: Families whose authors' tokenizers are byte-level BPE, and those with a unigram model; the others have word pieces.
_BYTES = (
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "roberta",
    "longformer",
    "bart",
    "opt",
    "phi",
    "qwen2",
    "qwen3",
    "llama",
    "mistral",
    "modernbert",
    "deberta",
)
_UNIGRAM = ("xlnet", "xlm-roberta", "camembert", "t5", "mbart", "albert", "deberta-v2", "big_bird", "rembert", "fnet", "gemma")

#: Families whose authors' tokenizers tell the second text of a pair by segment ids; XLNet's are of single texts, too.
_SEGMENTS = ("albert", "bert", "big_bird", "convbert", "deberta", "deberta-v2", "electra", "ernie", "fnet", "funnel", "mobilebert",
             "nystromformer", "rembert", "roformer", "squeezebert", "xlnet")  # fmt: skip
#: What BERT's tokenizers add to a text, and to a pair.
_CLASSIFIED: dict[str, Any] = {
    "single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1", "special_tokens": [("[CLS]", 2), ("[SEP]", 3)],
}  # fmt: skip


def tokenizer_for(family: str, **options: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of the family's kind; ``options`` go to `PreTrainedTokenizerFast`."""
    tokens: dict[str, Any] = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    if family == "gpt2":
        tokenizer, tokens = _byte_pairs(("<|endoftext|>",)), {"eos_token": "<|endoftext|>"}
    elif family in _BYTES:
        tokenizer = _byte_pairs(("<s>", "<pad>", "</s>"))
        tokens = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>"}
        if family in ("roberta", "longformer", "bart", "modernbert", "deberta"):
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
            )
    else:
        tokenizer = _unigram() if family in _UNIGRAM else _word_pieces()
    if family == "xlnet":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A:0 [SEP]:0 [CLS]:2", pair="$A:0 [SEP]:0 $B:1 [SEP]:1 [CLS]:2", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        tokens |= {"padding_side": "left"}
    if family in _SEGMENTS:
        tokens |= {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**tokens, **options})


def _byte_pairs(special: tuple[str, ...]) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate((*special, *letters, "Ġt", "Ġth", "Ġthe", "in", "ing"))}
    tokenizer = Tokenizer(BPE(vocabulary, [("Ġ", "t"), ("Ġt", "h"), ("Ġth", "e"), ("i", "n"), ("in", "g")]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def _unigram() -> Tokenizer:
    pieces = [(token, 0.0) for token in SPECIAL] + [("▁", -2.0)]
    pieces += [("▁" + word, -4.0) for word in WORDS if word.isalpha()] + [(letter, -6.0) for letter in sorted(set(CHARACTERS))]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=1))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(**_CLASSIFIED)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _word_pieces() -> Tokenizer:
    letters = sorted(set(CHARACTERS))
    tokens = dict.fromkeys((*SPECIAL, *WORDS, *letters, *("##" + letter for letter in letters)))
    tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(**_CLASSIFIED)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def make(
    folder: Path,
    family: str,
    labels: tuple[str, ...] = ("good", "bad", "neither"),
    *,
    dtype: torch.dtype = torch.float32,
    **config: Any,
) -> Path:
    """Writes a classifier of ``family`` into ``folder``, and returns it; ``config`` goes to its config.json."""
    tokenizer = tokenizer_for(family)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    pad = {} if tokenizer.pad_token_id is None else {"pad_token_id": tokenizer.pad_token_id}
    settings = AutoConfig.for_model(family, **{**pad, **FAMILIES[family], "vocab_size": len(tokenizer), **names, **config})
    torch.manual_seed(len(family))
    model = AutoModelForSequenceClassification.from_config(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Wide enough that texts get different scores, and that a wrong mask or position shows.
            if parameter.dim() > 1:
                parameter.normal_(0, 0.25)
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
