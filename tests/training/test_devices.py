"""Several devices share a batch; here two of them are made of one processor."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.train]

ROOT = Path(__file__).parents[2]
SHARED = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf
from tests.training import small
from viewfinder.training.finetune import FineTuning, Parts
from viewfinder.training.run import RunFolder
from viewfinder.training.schedule import plan

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = small.model()
    tuning = FineTuning(
        Parts(None, model), small.photos(60, 1), small.photos(12, 2),
        np.ones(small.CLASSES, np.float32), seed=7, run=RunFolder(Path(sys.argv[1])),
        listener=small.Notes(), should_stop=lambda: False,
    )
    history = tuning.train(plan(60, 2), None, None)
print(strategy.num_replicas_in_sync, *(epoch.validation_loss for epoch in history))
"""


def test_fine_tuning_shares_batches_among_devices(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SHARED, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    replicas, *losses = map(float, result.stdout.split())
    assert replicas == 2
    assert len(losses) == 2
    assert losses[0] != losses[1]  # it has learned something in between
