"""The application as people write it by hand: FastAPI in front of `model.generate`, one request at a time.

MODEL_ID names the folder. Everything is Ray's and transformers' default.
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


@serve.deployment
@serve.ingress(app)
class TextGenerator:
    def __init__(self) -> None:
        path = os.environ["MODEL_ID"]
        self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True)

    @app.post("/")
    async def generate(self, request: Prompt) -> dict[str, Any]:
        inputs = self.tokenizer(request.prompt, return_tensors="pt")
        outputs = self.model.generate(**inputs, max_new_tokens=request.max_tokens, do_sample=False)  # type: ignore[misc]
        new = outputs[0][inputs["input_ids"].shape[1] :]
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        return {"text": text, "usage": {"completion_tokens": len(new)}}


deployment = TextGenerator.bind()  # type: ignore[attr-defined]
