"""What a page with topics can show: one module per topic. Those of the scaling page have `draw(view, chosen, recipe)`, those of the layers page `draw(view, source)`, those of the benchmark page `draw(view)`."""

from pages.ui.topics import bench_pays, bench_roofline, bench_run, calibration, delayed, directions, grid, layers_logs, layers_model, layers_plan, layers_products, layers_suffer, nvfp4, rules

TOPICS = {
    "grid": grid,
    "rules": rules,
    "calibration": calibration,
    "delayed": delayed,
    "nvfp4": nvfp4,
    "directions": directions,
}
LAYERS = {
    "suffer": layers_suffer,
    "products": layers_products,
    "model": layers_model,
    "plan": layers_plan,
    "logs": layers_logs,
}
BENCHMARK = {
    "run": bench_run,
    "pays": bench_pays,
    "roofline": bench_roofline,
}
