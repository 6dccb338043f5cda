#!/usr/bin/env python3
# transformers' generate on the workload of generate_bench.c: 1100 tokens in common, 12 of each
# one's own, then 40 new ones of one sequence and of twenty, and 640 of one (a whole graph).
# Prints seconds of processor time.
# usage: pytorch_generate.py THREADS
import json, sys, time
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

torch.set_num_threads(int(sys.argv[1]))
config = Qwen2Config(vocab_size=32768, hidden_size=896, intermediate_size=4864, num_hidden_layers=6,
                     num_attention_heads=14, num_key_value_heads=2, max_position_embeddings=2048,
                     rope_theta=1e6, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
                     attn_implementation='sdpa')
torch.manual_seed(0)
model = Qwen2ForCausalLM(config).eval()
model.generation_config.pad_token_id = 0


def seconds(n, new):
    ids = torch.tensor([[(at * 31 + (q * 7 if at >= 1100 else 0)) % 500 for at in range(1112)]
                        for q in range(n)])
    start = time.process_time()
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                             min_new_tokens=new, max_new_tokens=new)
    assert out.shape[1] == 1112 + new
    return time.process_time() - start


seconds(1, 4)
result = {}
for name, n, new in (('one', 1, 40), ('whole', 1, 640), ('twenty', 20, 40)):
    result[name] = seconds(n, new)
print(json.dumps(result))
