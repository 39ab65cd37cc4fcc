"""Which GPUs a setting means. torch is imported only where the driver shows one or one is asked."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import warnings

from seqsearch.errors import MissingExtraError, SettingsError
from seqsearch.settings import DEVICES

Devices = tuple[str, ...]  # as torch names them; none: numpy and numba on the CPU
DOCTOR = "seqsearch doctor says what is missing"


def devices_of(device: str) -> Devices:
    """Return the GPUs that a setting means.

    Parameters
    ----------
    device : str
        One of `DEVICES`; auto takes GPUs only where all that is needed works.

    Raises
    ------
    SettingsError
        Not one of them, or no GPU works.
    MissingExtraError
        A GPU was asked for, and torch is not installed.

    Examples
    --------
    >>> devices_of("cpu")
    ()
    """
    if device not in DEVICES:
        raise SettingsError("device", device, " or ".join(DEVICES))
    if device == "cpu" or (device == "auto" and not gpus_of_driver()):
        return ()
    problem = gpu_problem()
    if not problem:
        return gpu_names()
    if device == "auto":
        return ()
    if not has_torch():
        raise MissingExtraError(f"PyTorch, which a GPU needs ({DOCTOR}),", "models")
    raise SettingsError("device", device, f"a GPU that works, but {problem} ({DOCTOR})")


def gpus_of_driver() -> int:
    """Return how many GPUs NVIDIA's driver shows; 0 without the driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def has_torch() -> bool:
    """Whether torch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


def gpu_names() -> Devices:
    """Return the GPUs that torch sees."""
    torch = importlib.import_module("torch")
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def gpu_problem() -> str:
    """Say why torch cannot compute on every GPU it sees; "" where it can."""
    if not has_torch():
        return "PyTorch is not installed: pip install 'seqsearch[models]'"
    torch = importlib.import_module("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what is told here in one line
        if torch.version.cuda is None:
            return f"this PyTorch ({torch.__version__}) is built without CUDA"
        if not torch.cuda.is_available():
            return f"PyTorch {torch.__version__} sees no GPU that it can use"
        try:
            for name in gpu_names():
                torch.arange(8, dtype=torch.float64, device=name).sum().item()
        except RuntimeError as error:  # no kernel for this card, or no memory left on it
            return f"PyTorch fails on it: {str(error).splitlines()[0]}"
    return ""
