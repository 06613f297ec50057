"""lm-evaluation-harness against our server, as `local-completions`: log-likelihoods beside transformers on the same weights.

    needs: lm-eval[api,hf]==0.4.13 torch==2.15.0 transformers==5.24.0
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import lm_eval  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

QUESTIONS = [
    ("The capital of France is", ["Paris", "Rome", "Lima", "Cairo"]),
    ("Water freezes at a temperature of", ["zero degrees Celsius", "ninety degrees Celsius", "one million degrees"]),
    ("The opposite of hot is", ["cold", "warm", "tall", "green"]),
    ("A week has", ["seven days", "three days", "ninety days"]),
    ("The sun rises in the", ["east", "west", "kitchen"]),
    ("Two plus two equals", ["four", "five", "nine"]),
    ("Caf\u00e9 cr\u00e8me is a kind of", ["coffee", "shoe", "mountain \U0001f40e"]),
    ("Romeo and Juliet was written by", ["William Shakespeare", "Isaac Newton", "a committee"]),
    ("Sheep give us", ["wool", "petrol", "glass"]),
    ("def add(a, b):\n    return", ["a + b", "a - b\n    pass", "None"]),
]

TASK = """
task: tutelage_facts
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: 0
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    weights = folder / "model"
    subprocess.run([os.environ["TUTELAGE"], "convert", os.environ["TUTELAGE_MODEL"], "--out", weights], check=True)
    data = folder / "facts.jsonl"
    data.write_text("".join(json.dumps({"question": q, "choices": c}) + "\n" for q, c in QUESTIONS))
    (folder / "facts.yaml").write_text(TASK.format(data=data))

    def evaluate(model, args):
        tasks = TaskManager(include_path=str(folder), include_defaults=False)
        found = lm_eval.simple_evaluate(model=model, model_args=args, tasks=["tutelage_facts"], task_manager=tasks, batch_size=4)
        samples = found["samples"]["tutelage_facts"]
        samples.sort(key=lambda sample: sample["doc_id"])
        # (log-likelihood, whether it is greedy) of each choice.
        pairs = [tuple(resp[0]) for sample in samples for resp in sample["resps"]]
        return pairs, found["results"]["tutelage_facts"]

    url = f"{os.environ['TUTELAGE_URL']}/v1/completions"
    ours, results = evaluate("local-completions", {
        "model": "smollm2", "base_url": url, "tokenizer": str(weights), "tokenizer_backend": "huggingface",
        "num_concurrent": 4, "max_retries": 1,
    })
    theirs, expected = evaluate("hf", {"pretrained": str(weights), "dtype": "float32", "device": "cpu"})

worst = max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True))
assert len(ours) == sum(len(choices) for _, choices in QUESTIONS)
# f32 on both sides; sums of up to ten tokens.
assert worst < 2e-3, (worst, ours, theirs)
assert [a[1] for a in ours] == [b[1] for b in theirs], "greedy or not"
assert results["acc,none"] == expected["acc,none"] and results["acc_norm,none"] == expected["acc_norm,none"]
print(f"lm-eval: {len(ours)} log-likelihoods within {worst:.1e} of transformers', accuracy {results['acc,none']:.2f}")
