"""VGG networks for small images."""

from collections.abc import Sequence

from torch import Tensor, nn

from pathfinder.models.layers import channels_last, he_normal

# channels of the convolutions of each stage at width 1; max-pooling follows every stage
STAGES = {
    9: ((64, 64), (128, 128), (256, 256, 256)),
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    19: ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


class VGG(nn.Module):
    """Stages of 3 x 3 convolutions with ReLU, each followed by max-pooling, then linear layers.

    After Simonyan and Zisserman (2015). Depth 9 is that of Li et al. (2018): BatchNorm after every convolution and in
    its one hidden linear layer. The others follow Garipov et al. (2018): two hidden linear layers of 512 with Dropout,
    BatchNorm only if `batch_norm` is set.

    Args:
        depth: layers with weights: 9, 11, 13, 16 or 19.
        batch_norm: whether BatchNorm follows each convolution; True for depth 9 if not given.
        width: multiplies the channels and the hidden linear units, rounded.
        num_classes: outputs.
        input_shape: channels, height, width of one image.

    Raises:
        ValueError: if the depth is not one of these, or the image is too small for the stages.
    """

    def __init__(
        self,
        depth: int = 16,
        batch_norm: bool | None = None,
        width: int | float = 1,
        num_classes: int = 10,
        input_shape: Sequence[int] = (3, 32, 32),
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"depth must be one of {', '.join(map(str, STAGES))}, got {depth}")
        if round(64 * width) < 1:
            raise ValueError(f"width must leave a channel, got {width}")
        batch_norm = depth == 9 if batch_norm is None else batch_norm
        channels, height, size = input_shape
        layers: list[nn.Module] = []
        for stage in STAGES[depth]:
            for after in (round(c * width) for c in stage):
                layers.append(nn.Conv2d(channels, after, 3, padding=1))
                layers += [nn.BatchNorm2d(after)] if batch_norm else []
                layers.append(nn.ReLU())
                channels = after
            layers.append(nn.MaxPool2d(2))
            height, size = height // 2, size // 2
        if height * size == 0:
            raise ValueError(
                f"images of {input_shape[1]} x {input_shape[2]} are too small for {len(STAGES[depth])} stages"
            )
        self.features = nn.Sequential(*layers)
        self.classifier = _head(depth, channels * height * size, channels, batch_norm, num_classes)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (examples, num_classes)."""
        return self.classifier(self.features(channels_last(x)).flatten(1))


def _head(depth: int, inputs: int, hidden: int, batch_norm: bool, num_classes: int) -> nn.Sequential:
    """The linear layers: one hidden layer at depth 9, otherwise two with Dropout."""
    if depth == 9:
        norm = [nn.BatchNorm1d(hidden)] if batch_norm else []
        return nn.Sequential(nn.Linear(inputs, hidden), *norm, nn.ReLU(), nn.Linear(hidden, num_classes))
    first = [nn.Dropout(), nn.Linear(inputs, hidden), nn.ReLU()]
    second = [nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*first, *second, nn.Linear(hidden, num_classes))
