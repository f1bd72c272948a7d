"""`model.generate` and nothing around it: the limit that a server of the same model can be held against.

    python -m benchmarks.servers.bare FOLDER     reads requests as lines of JSON from stdin, answers with lines of JSON

Request: {"prompts": [...], "tokens": [...], "batch": 8}. The prompts are taken in batches of that many, each as long as
its longest answer. Answer: {"seconds": ..., "cpu": ..., "texts": [...]}, without the time of the tokenizer.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
import transformers


def batches(tokenizer: Any, prompts: list[str], size: int) -> list[Any]:
    """Padded at the left."""
    groups = [prompts[start : start + size] for start in range(0, len(prompts), size)]
    return [tokenizer(group, return_tensors="pt", padding=True) for group in groups]


def generate(model: Any, inputs: Any, tokens: int) -> list[list[int]]:
    """The new tokens of each row."""
    with torch.inference_mode():
        outputs = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    new: list[list[int]] = outputs[:, inputs["input_ids"].shape[1] :].tolist()
    return new


def answer(tokenizer: Any, model: Any, asked: Any) -> dict[str, Any]:
    tokens, size = asked["tokens"], asked["batch"]
    prepared = batches(tokenizer, asked["prompts"], size)
    longest = [max(tokens[start : start + size]) for start in range(0, len(tokens), size)]
    cpu, begun = time.process_time(), time.perf_counter()
    rows = [row for inputs, count in zip(prepared, longest, strict=True) for row in generate(model, inputs, count)]
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    if any(len(row) < count for row, count in zip(rows, tokens, strict=True)):
        raise RuntimeError("an answer ended early")
    texts = [tokenizer.decode(row[:count]) for row, count in zip(rows, tokens, strict=True)]
    return {"seconds": seconds, "cpu": cpu, "texts": texts}


def main() -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1], padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(tokenizer, model, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
