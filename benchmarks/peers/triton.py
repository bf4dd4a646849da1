"""The default model behind Triton Inference Server: two instances of its Python backend.

    python -m benchmarks.peers.triton --port 8001

The server is the one in NVIDIA's package `nvidia-pytriton`, without PyTriton itself.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytriton

from benchmarks.peers import DEADLINE_S, MOST_WAITING, WORKERS, port

CONFIG = f"""
backend: "python"
max_batch_size: 1
input [{{ name: "photo", data_type: TYPE_STRING, dims: [1] }}]
output [{{ name: "classes", data_type: TYPE_STRING, dims: [1] }}]
dynamic_batching {{
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {DEADLINE_S * 1_000_000}
    max_queue_size: {MOST_WAITING}
  }}
}}
instance_group [{{ kind: KIND_CPU, count: {WORKERS} }}]
"""
HERE = Path(__file__)


def main() -> None:
    """Serve until told to stop."""
    (place,) = pytriton.__path__
    home = Path(place) / "tritonserver"
    repository, backends = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    version = repository / "classify" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(CONFIG)
    shutil.copy(HERE.with_name("triton_backend.py"), version / "model.py")
    # the stub for this version of Python lies beside the others, and belongs beside the backend
    shutil.copytree(home / "backends" / "python", backends / "python")
    found = "{}.{}".format(*sys.version_info)
    stub = home / "python_backend_stubs" / found / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    libraries = str(Path(place).with_name("nvidia_pytriton.libs"))
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": libraries,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    server = home / "bin" / "tritonserver"
    os.execve(
        server,
        [
            str(server),
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
            "--http-address=127.0.0.1",
            f"--http-port={port()}",
            "--allow-grpc=false",
            "--allow-metrics=false",
            "--exit-timeout-secs=5",
        ],
        environment,
    )


if __name__ == "__main__":
    main()
