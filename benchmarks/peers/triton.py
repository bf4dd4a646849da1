"""The default model behind Triton Inference Server: two instances of its Python backend.

The server is the one in NVIDIA's package `nvidia-pytriton`, without PyTriton itself.
"""

import shutil
from pathlib import Path

from benchmarks.peers import DEADLINE_S, MOST_WAITING

_CONFIG = """
backend: "python"
max_batch_size: 1
input [{{ name: "photo", data_type: TYPE_STRING, dims: [1] }}]
output [{{ name: "classes", data_type: TYPE_STRING, dims: [1] }}]
dynamic_batching {{
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {microseconds}
    max_queue_size: {waiting}
  }}
}}
instance_group [{{ kind: KIND_CPU, count: {instances} }}]
"""


def command(place: Path, home: Path, *, instances: int) -> list[str]:
    """What starts it, before the option for its port; its model repository is written.

    Args:
        place: Its virtual environment.
        home: Where the repository may lie.
        instances: Of the model, each a process.
    """
    (packages,) = place.glob("lib/python3*/site-packages")
    server = packages / "pytriton" / "tritonserver"
    version = home / "repository" / "classify" / "1"
    version.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("triton_backend.py"), version / "model.py")
    (version.parent / "config.pbtxt").write_text(
        _CONFIG.format(
            microseconds=DEADLINE_S * 1_000_000, waiting=MOST_WAITING, instances=instances
        )
    )
    # The package keeps a stub for each version of Python beside the backend that runs one of them.
    backend = home / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    python = packages.parent.name.removeprefix("python")
    shutil.copy(server / "python_backend_stubs" / python / "triton_python_backend_stub", backend)
    return [
        *("env", f"LD_LIBRARY_PATH={packages / 'nvidia_pytriton.libs'}"),
        str(server / "bin" / "tritonserver"),
        f"--model-repository={home / 'repository'}",
        f"--backend-directory={home / 'backends'}",
        "--http-address=127.0.0.1",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--exit-timeout-secs=5",
    ]
