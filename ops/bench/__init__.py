"""`vw bench`: measured figures, as ratios against bare baselines, one JSON object a run."""
