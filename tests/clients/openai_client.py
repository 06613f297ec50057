"""The openai client against our server: completion, chat, stream, tools, formats, log-probabilities, embeddings, errors.

    needs: openai==3.57.0
"""

import json
import math
import os

import openai

URL = os.environ["TUTELAGE_URL"]
client = openai.OpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0)
model = client.models.list().data[0].id
assert client.models.retrieve(model).id == model

# Completion: greedy, its log-probabilities, the prompt's, several at once.
done = client.completions.create(model=model, prompt="The capital of France is", max_tokens=6, temperature=0, logprobs=3)
text = done.choices[0].text
assert "Paris" in text, text
assert "".join(done.choices[0].logprobs.tokens) == text
assert all(p <= 0 for p in done.choices[0].logprobs.token_logprobs)
assert done.usage.completion_tokens == len(done.choices[0].logprobs.tokens)
echo = client.completions.create(model=model, prompt="The capital of France is Paris", max_tokens=0, echo=True, logprobs=1)
assert echo.choices[0].text == "The capital of France is Paris"
likely = dict(zip(echo.choices[0].logprobs.tokens, echo.choices[0].logprobs.token_logprobs))
assert likely[" Paris"] > math.log(0.1), likely
many = client.completions.create(model=model, prompt=["One, two,", "Red, green,"], n=2, seed=7, max_tokens=4)
assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
again = client.completions.create(model=model, prompt=["One, two,", "Red, green,"], n=2, seed=7, max_tokens=4)
assert [c.text for c in again.choices] == [c.text for c in many.choices]
parts = list(client.completions.create(model=model, prompt="One, two,", seed=7, max_tokens=4, stream=True))
assert "".join(part.choices[0].text for part in parts) == many.choices[0].text

# Chat: whole, streamed, with log-probabilities.
messages = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
chat = client.chat.completions.create(model=model, messages=messages, temperature=0, logprobs=True, top_logprobs=2)
answer = chat.choices[0].message.content
assert "Paris" in answer and chat.choices[0].finish_reason == "stop", chat
tokens = chat.choices[0].logprobs.content
assert b"".join(bytes(token.bytes) for token in tokens).decode() == answer
assert all(len(token.top_logprobs) == 2 for token in tokens)
streamed = client.chat.completions.create(
    model=model, messages=messages, temperature=0, stream=True, stream_options={"include_usage": True}
)
parts = list(streamed)
assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == answer
assert parts[-1].usage == chat.usage, (parts[-1].usage, chat.usage)

# Tools: a call that is required, its result, and the answer after it.
tools = [{
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                       "additionalProperties": False},
    },
}]
ask = [{"role": "user", "content": "What is the weather in Oslo?"}]
called = client.chat.completions.create(
    model=model, messages=ask, tools=tools, tool_choice="required", temperature=0, max_tokens=200
)
message = called.choices[0].message
assert called.choices[0].finish_reason == "tool_calls" and message.tool_calls[0].function.name == "get_weather"
assert isinstance(json.loads(message.tool_calls[0].function.arguments)["city"], str)
result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
after = client.chat.completions.create(model=model, messages=[*ask, message, result], tools=tools, max_tokens=30, temperature=0)
assert after.choices[0].message.content

# Formats: what the text must be.
schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}, "people": {"type": "integer"}},
          "required": ["city", "people"], "additionalProperties": False}
shaped = client.chat.completions.create(
    model=model, messages=messages, max_tokens=200,
    response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
)
found = json.loads(shaped.choices[0].message.content)
assert set(found) == {"city", "people"} and isinstance(found["people"], int)

# Embeddings: the client asks for base64 by itself.
vectors = client.embeddings.create(model=model, input=["a cat", "a kitten", "the stock market fell"]).data
cat, kitten, market = ([x / math.hypot(*v.embedding) for x in v.embedding] for v in vectors)
similar = lambda a, b: sum(x * y for x, y in zip(a, b))
assert similar(cat, kitten) > similar(cat, market)

# Errors are the client's own kinds.
for kind, wrong in [
    (openai.NotFoundError, lambda: client.completions.create(model="other", prompt="a")),
    (openai.BadRequestError, lambda: client.completions.create(model=model, prompt="a", temperature=-1)),
    (openai.BadRequestError, lambda: client.completions.create(model=model, prompt="a", suffix="b")),
    (openai.BadRequestError, lambda: client.chat.completions.create(model=model, messages=[])),
]:
    try:
        wrong()
    except kind as error:
        assert error.message
    else:
        raise AssertionError(f"expected {kind}")
print("openai", openai.__version__, "is content:", answer)
