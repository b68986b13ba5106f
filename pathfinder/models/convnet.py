"""A small convolutional network, with or without BatchNorm."""

from collections.abc import Sequence

from torch import Tensor, nn

from pathfinder.models.layers import channels_last


class ConvNet(nn.Module):
    """Convolutions of 3 x 3 with ReLU, max-pooling between them, and one linear layer.

    Args:
        widths: channels of each convolution.
        batch_norm: whether BatchNorm follows each convolution (which then has no bias).
        num_classes: outputs.
        input_shape: channels, height, width of one image.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 32),
        batch_norm: bool = False,
        num_classes: int = 10,
        input_shape: Sequence[int] = (3, 32, 32),
    ) -> None:
        super().__init__()
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        for i, after in enumerate(widths):
            if i > 0:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            layers.append(nn.Conv2d(channels, after, 3, padding=1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(after)] if batch_norm else []
            layers.append(nn.ReLU())
            channels = after
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * height * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (examples, num_classes)."""
        x = self.features[0](x)
        return self.classifier(self.features[1:](channels_last(x)).flatten(1))
