"""schemathesis against the server's own OpenAPI document: no 5xx, and answers that are as described.

    needs: schemathesis==4.32.5
    serve: --max-tokens 8 --timeout 50
"""

import os
import subprocess
import sys
from pathlib import Path

URL = os.environ["TUTELAGE_URL"]
# What a description cannot say is refused too (an id beyond the vocabulary, a text that is too long), so acceptance of all
# that fits it is not asked for.
checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance," \
         "negative_data_rejection,unsupported_method,missing_required_header"
run = subprocess.run([
    Path(sys.executable).with_name("schemathesis"), "run", f"{URL}/openapi.json", "--url", URL, "--checks", checks,
    "--max-examples", os.environ.get("EXAMPLES", "60"), "--seed", "1", "--request-timeout", "60", "--generation-database", "none", *sys.argv[1:],
])
sys.exit(run.returncode)
