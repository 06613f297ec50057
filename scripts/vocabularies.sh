#!/usr/bin/env bash
# Gets llama.cpp's vocabularies with golden cases (texts and ids), and chat templates of many models, out of the source distribution of llama-cpp-python,
# 77 MB (MIT; the vocabularies are their models'), into target/external/vocabularies/. Needs python3 with pip; installs
# nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
to=target/external
[ -d "$to/vocabularies" ] && exit 0
mkdir -p "$to/download-vocabularies"
python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$to/download-vocabularies" llama-cpp-python==0.3.36
python3 - "$to" <<'PYTHON'
import glob, os, sys, tarfile
to = sys.argv[1]
part = f"{to}/vocabularies.part"
os.makedirs(part, exist_ok=True)
with tarfile.open(glob.glob(f"{to}/download-vocabularies/llama_cpp_python-*.tar.gz")[0]) as archive:
    for member in archive:
        name = os.path.basename(member.name)
        is_template = name.endswith(".jinja") and "llama.cpp/models/templates/" in member.name
        if member.isfile() and (name.startswith("ggml-vocab-") or is_template):
            folder = f"{part}/templates" if is_template else part
            os.makedirs(folder, exist_ok=True)
            with open(f"{folder}/{name}", "wb") as out:
                out.write(archive.extractfile(member).read())
os.replace(part, f"{to}/vocabularies")
PYTHON
rm -r "$to/download-vocabularies"
