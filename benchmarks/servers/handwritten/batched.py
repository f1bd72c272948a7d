"""Static batching as Ray's documentation shows it: `@serve.batch` gathers requests, one `generate` answers them padded.

MODEL_ID names the folder. Every answer of a batch waits for the longest.
"""

import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from transformers import AutoModelForCausalLM, AutoTokenizer

app = FastAPI()


class Prompt(BaseModel):
    prompt: str
    max_tokens: int = 128


@serve.deployment(max_ongoing_requests=64)
@serve.ingress(app)
class BatchedGenerator:
    def __init__(self) -> None:
        path = os.environ["MODEL_ID"]
        self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)
    async def answers(self, requests: list[Prompt]) -> list[dict[str, Any]]:
        inputs = self.tokenizer([each.prompt for each in requests], return_tensors="pt", padding=True)
        longest = max(each.max_tokens for each in requests)
        outputs = self.model.generate(**inputs, max_new_tokens=longest, do_sample=False)  # type: ignore[misc]
        new = outputs[:, inputs["input_ids"].shape[1] :]
        cut = [row[: each.max_tokens] for row, each in zip(new, requests, strict=True)]
        texts = self.tokenizer.batch_decode(cut, skip_special_tokens=True)
        return [{"text": text, "usage": {"completion_tokens": len(row)}} for text, row in zip(texts, cut, strict=True)]

    @app.post("/")
    async def generate(self, request: Prompt) -> dict[str, Any]:
        return await self.answers(request)


deployment = BatchedGenerator.bind()  # type: ignore[attr-defined]
