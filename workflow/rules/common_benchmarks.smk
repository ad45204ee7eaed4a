"""What the benchmarks share: their file, their arms, and what an arm needs."""

from defectscape.benchmarks.arms import arms_of, choosing_committee
from defectscape.settings.load import load_benchmark

BENCHMARK_FILE = Path(config.get("benchmark", "config/benchmarks/model.yaml"))
BENCHMARK = None
if BENCHMARK_FILE.exists():
    try:
        BENCHMARK = load_benchmark(BENCHMARK_FILE)
    except DefectscapeError as error:
        sys.exit(f"error: {error}")
ARMS = [] if BENCHMARK is None else [arm.name for arm in arms_of(BENCHMARK)]
BENCHMARK_NAME = "model" if BENCHMARK is None else BENCHMARK.name
ARM_FOLDER = RESULTS / "benchmarks" / BENCHMARK_NAME


def benchmark_data(wildcards):
    """The data sets of an arm."""
    pairs = [] if BENCHMARK is None else BENCHMARK.data
    own = [pair for pair in pairs if wildcards.arm.startswith(f"{pair.name}-")]
    return [str(path) for pair in own for path in (*pair.low, *pair.high)]


def choosing_arms(wildcards):
    """The arms whose models choose the labels of an arm, where it has such."""
    (arm,) = [one for one in arms_of(BENCHMARK) if one.name == wildcards.arm]
    return [
        str(ARM_FOLDER / f"{one.name}.done")
        for one in choosing_committee(BENCHMARK, arm)
    ]
