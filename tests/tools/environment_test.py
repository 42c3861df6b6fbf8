import os
import subprocess
import sys

import pytest

from indistill_tf_tools import environment

CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
cpu family\t: {family}
model\t\t: 17
flags\t\t: fpu sse2 avx2 {flags}
"""


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "disabled"),
    [
        ("AuthenticAMD", 25, "avx512f", "X86_V4"),  # Zen 4
        ("AuthenticAMD", 25, "", None),  # Zen 3
        ("AuthenticAMD", 26, "avx512f", None),  # Zen 5
        ("GenuineIntel", 6, "avx512f", None),
    ],
)
def test_numpy_sorts_with_avx2_on_zen_4_alone(vendor, family, flags, disabled):
    found = environment.settings(
        CPUINFO.format(vendor=vendor, family=family, flags=flags)
    )
    assert found.get("NPY_DISABLE_CPU_FEATURES") == disabled
    assert found["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_elsewhere_than_on_linux():
    assert "NPY_DISABLE_CPU_FEATURES" not in environment.settings("")


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setattr(os, "environ", {"TF_ENABLE_ONEDNN_OPTS": "0"})
    environment.prepare()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == "4"


def test_tools_import_no_numpy_before():
    code = (
        "import sys; from indistill_tf_tools import cli; "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
