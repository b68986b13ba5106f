"""Hessian-vector products for both ends of a spectrum: Lanczos against power iteration to the same residuals.

    uv run python tests/benchmarks/curvature.py [--out FILE.csv]

Power iteration finds the end that is larger in magnitude, then, on the Hessian shifted by it, the other one.
"""

import argparse

import numpy as np
import pandas as pd
import torch

from pathfinder import Hessian, WeightSpace, build_model, fit_minimum, load_data
from pathfinder.tables.csv_files import write_table

TOLERANCE, MOST = 1e-2, 3000


def power(hessian: Hessian, shift: float, rng: np.random.Generator) -> tuple[float, int]:
    """The eigenvalue of H for which H - shift I is largest in magnitude, and the products it took.

    It stops when the residual is within the tolerance of the eigenvalue itself, as for Lanczos; NaN if it never is.
    """
    vector = rng.standard_normal(len(hessian))
    vector /= np.linalg.norm(vector)
    for products in range(1, MOST + 1):
        image = hessian.product(torch.from_numpy(vector).float()).double().numpy()
        value = float(vector @ image)
        residual = np.linalg.norm(image - value * vector)
        if residual <= TOLERANCE * abs(value):
            return value, products
        vector = image - shift * vector
        vector /= np.linalg.norm(vector)
    return float("nan"), MOST


def main() -> None:
    """Measure, print and write as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="CSV file for the table")
    out = parser.parse_args().out
    train, rows = load_data("digits")["train"], []
    for name in ("mlp", "convnet"):
        for epochs in (2, 20):
            module = build_model(name, input_shape=(1, 8, 8), seed=0)
            fit_minimum(module, train, epochs=epochs, lr=0.05, batch_size=64)
            space = WeightSpace(module)
            hessian = Hessian(space, space.vector(module), train.subset(500, 0), batch_size=500)
            found = hessian.extremes(TOLERANCE, MOST)
            rng = np.random.default_rng(0)
            first, products = power(hessian, 0.0, rng)
            second, more = power(hessian, first, rng)
            row = {"network": name, "epochs": epochs, "lambda_min": found.lowest, "lambda_max": found.highest}
            row |= {
                "power_min": np.minimum(first, second),
                "power_max": np.fmax(first, second),
                "lanczos_products": found.products,
            }
            row |= {"power_products": products + more, "ratio": (products + more) / found.products}
            rows.append(row)
            print(row)
    if out:
        write_table(out, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
