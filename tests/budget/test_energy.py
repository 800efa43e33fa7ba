"""Energy is read where the machine tells it, and is no number where it does not."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from burnish.energy import energy_counters, joules_between


def no_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


class Driver:
    """What the driver's library does, with a counter that the test sets; a status other than 0 is a refusal."""

    def __init__(self, *, millijoules: int = 0, status: int = 0) -> None:
        self.millijoules, self.status = millijoules, status
        self.asked: list[int] = []

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, handle: Any) -> int:
        self.asked.append(index.value)
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, energy: Any) -> int:
        energy._obj.value = self.millijoules
        return self.status


def write_zone(root: Path, zone: str, name: str, energy: int) -> None:
    (root / zone).mkdir(exist_ok=True)
    (root / zone / "name").write_text(name)
    (root / zone / "energy_uj").write_text(str(energy))
    (root / zone / "max_energy_range_uj").write_text("1000000")


def test_energy_is_read_from_packages_alone_and_survives_a_counter_that_wraps(tmp_path):
    write_zone(tmp_path, "intel-rapl:0", "package-0\n", 900_000)
    write_zone(tmp_path, "intel-rapl:1", "package-1\n", 100_000)
    write_zone(tmp_path, "intel-rapl:0:0", "core\n", 5)
    before = energy_counters(tmp_path, no_library)
    write_zone(tmp_path, "intel-rapl:0", "package-0\n", 200_000)
    write_zone(tmp_path, "intel-rapl:1", "package-1\n", 150_000)
    write_zone(tmp_path, "intel-rapl:0:0", "core\n", 999)
    # 0.3 J from the one that wrapped at 1 J, 0.05 J from the other.
    assert joules_between(before, energy_counters(tmp_path, no_library)) == pytest.approx(0.35)


def test_the_card_adds_its_energy_to_that_of_the_processor(tmp_path):
    driver = Driver(millijoules=2**40)
    write_zone(tmp_path, "intel-rapl:0", "package-0\n", 100_000)
    before = energy_counters(tmp_path, lambda name: driver)
    driver.millijoules += 7_500
    write_zone(tmp_path, "intel-rapl:0", "package-0\n", 300_000)
    assert joules_between(before, energy_counters(tmp_path, lambda name: driver)) == pytest.approx(7.7)


def test_a_driver_that_was_loaded_anew_in_between_adds_nothing(tmp_path):
    readings = [energy_counters(tmp_path, lambda name, mj=mj: Driver(millijoules=mj)) for mj in (9_000, 10)]
    assert joules_between(*readings) == 0.0


@pytest.mark.parametrize(("visible", "asked"), [("2,0", [2]), ("0", [0]), ("", []), ("MIG-1a2b", [])])
def test_the_card_is_the_one_that_cuda_is_shown_first(visible, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    driver = Driver(millijoules=1)
    assert len(energy_counters(tmp_path, lambda name: driver)) == len(asked)
    assert driver.asked == asked


def test_energy_is_none_where_the_machine_does_not_tell(tmp_path):
    assert energy_counters(tmp_path, no_library) == {}
    assert energy_counters(tmp_path, lambda name: Driver(millijoules=5, status=3)) == {}
    assert energy_counters(tmp_path, lambda name: object()) == {}
    assert joules_between({}, {}) is None
