#!/usr/bin/env python3
# transformers' decoding at the size that tests/gpu/gpu_generate times: greedy passes of 1, 32 and 160
# sequences behind prompts of 1,600 rows, each with its own keys and values, with a static cache and
# CUDA graphs (torch.compile, reduce-overhead).
# usage: pytorch_decode.py [--device cuda|cpu] [--small]     cpu: fp32, uncompiled, to try it out
import argparse, time
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, StaticCache

parser = argparse.ArgumentParser()
parser.add_argument('--device', default='cuda')
parser.add_argument('--small', action='store_true')
arguments = parser.parse_args()
on_gpu = arguments.device == 'cuda'
dtype = torch.bfloat16 if on_gpu else torch.float32
sizes = dict(vocab_size=151936, hidden_size=2048, intermediate_size=11008, num_hidden_layers=36,
             num_attention_heads=16, num_key_value_heads=2)
prefix, warm, steps, batches = 1600, 8, 48, (1, 32, 160)
if arguments.small:
    sizes = dict(vocab_size=576, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2)
    prefix, warm, steps, batches = 40, 1, 2, (1, 4)
config = Qwen2Config(**sizes, max_position_embeddings=4096, rope_theta=1e6,
                     tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
                     attn_implementation='sdpa')
with torch.device(arguments.device):
    model = Qwen2ForCausalLM(config).to(dtype).eval()


def synchronise():
    if on_gpu:
        torch.cuda.synchronize()


def static_cache(batch):
    length = prefix + warm + steps
    try:
        return StaticCache(config=config, max_cache_len=length)
    except TypeError:  # transformers before 4.56
        return StaticCache(config=config, max_batch_size=batch, max_cache_len=length,
                           device=arguments.device, dtype=dtype)


@torch.inference_mode()
def measure(batch):
    cache = static_cache(batch)
    ids = torch.randint(0, sizes['vocab_size'], (batch, prefix), device=arguments.device)
    place = torch.arange(prefix, device=arguments.device)
    start = time.monotonic()
    hidden = model.model(input_ids=ids, past_key_values=cache, use_cache=True,
                         cache_position=place).last_hidden_state
    logits = model.lm_head(hidden[:, -1:])  # of the last rows alone
    synchronise()
    prompt = time.monotonic() - start
    step = torch.compile(model, mode='reduce-overhead') if on_gpu else model
    token = logits.argmax(-1)
    for i in range(warm + steps):
        if i == warm:
            synchronise()
            start = time.monotonic()
        place = torch.tensor([prefix + i], device=arguments.device)
        token = step(input_ids=token, past_key_values=cache, use_cache=True,
                     cache_position=place).logits[:, -1:].argmax(-1).clone()
    synchronise()
    each = (time.monotonic() - start) / steps
    print(f'transformers: prefill of {batch} x {prefix} rows {prompt * 1e3:8.2f} ms; decode, batch '
          f'{batch:3d} {each * 1e3:8.3f} ms a pass, {batch / each:9.0f} tokens/s', flush=True)


for batch in batches:
    torch.compiler.reset()
    measure(batch)
