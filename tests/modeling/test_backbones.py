"""The table of backbones, which is read without Keras."""

import subprocess
import sys

from viewfinder.modeling.backbones import BACKBONES


def test_the_table_is_read_without_keras() -> None:
    code = (
        "import sys, viewfinder.modeling.backbones;"
        "sys.exit(bool({'keras', 'tensorflow', 'h5py'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_default_model_is_evaluated_as_its_bundle_says() -> None:
    assert BACKBONES["efficientnet-lite0"].crop_fraction == 0.875


def test_only_the_lite_presets_come_with_their_weights() -> None:
    offline = {name for name, backbone in BACKBONES.items() if backbone.weights_package}
    assert offline == {f"efficientnet-lite{n}" for n in range(3)}
