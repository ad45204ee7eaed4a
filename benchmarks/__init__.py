"""What measures this project: model runs, timings, physics of finished studies; not part of the package."""
