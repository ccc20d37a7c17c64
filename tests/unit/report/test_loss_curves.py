import numpy as np
import pandas as pd
import pytest

from patchprobe.pretraining.report import loss_curves


@pytest.fixture
def losses(tmp_path):
    files = {}
    for number, name in enumerate(["dino", "ibot", "mae", "simmim"]):
        steps = np.arange(1, 251 if number else 8)
        file = tmp_path / f"{name}.csv"
        pd.DataFrame({"step": steps, "images": 8 * steps, "learning_rate": 0.1, "loss": 5 / steps}).to_csv(file)
        files[name] = file
    return files


def test_curves_are_the_same_bytes_for_the_same_losses(losses, tmp_path):
    for name in ("a", "b"):
        loss_curves(losses, [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_points_are_means_of_a_hundredth_of_the_run(losses, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda ax, x, y, **style: drawn.append((x, y)) or plot(ax, x, y, **style))
    loss_curves(losses, [tmp_path / "a.svg"])
    assert [len(x) for x, _ in drawn] == [7, 100, 100, 100]
    images, loss = drawn[1]
    # 250 steps: the first point holds steps 1 to 3.
    assert images.iloc[0] == pytest.approx(8 * 2 / 1000)
    assert loss.iloc[0] == pytest.approx((5 + 5 / 2 + 5 / 3) / 3)
