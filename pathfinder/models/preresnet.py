"""Pre-activation and wide residual networks for small images, of any depth and width."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import relu

from pathfinder.models.layers import channels_last, he_normal
from pathfinder.models.names import Staged


class PreBlock(nn.Module):
    """BatchNorm and ReLU before each convolution: two of 3 x 3, or the bottleneck of 1 x 1, 3 x 3 and 1 x 1.

    Args:
        before: channels of the input.
        planes: channels inside; a bottleneck has four times as many outputs.
        stride: of the 3 x 3 convolution that comes first.
        bottleneck: whether the block is a bottleneck.
        bias: whether convolutions have a bias.
        dropout: fraction of units dropped before the last convolution.
        shortcut: whether the input is added, through a 1 x 1 convolution if its shape changes.
    """

    def __init__(
        self, before: int, planes: int, stride: int, bottleneck: bool, bias: bool, dropout: float, shortcut: bool
    ) -> None:
        super().__init__()
        after = planes * (4 if bottleneck else 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(before), nn.BatchNorm2d(planes)
        if bottleneck:
            self.conv1 = nn.Conv2d(before, planes, 1, bias=bias)
            self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=bias)
            self.bn3, self.conv3 = nn.BatchNorm2d(planes), nn.Conv2d(planes, after, 1, bias=bias)
        else:
            self.conv1 = nn.Conv2d(before, planes, 3, stride, padding=1, bias=bias)
            self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=bias)
            self.bn3, self.conv3 = None, None
        self.dropout = nn.Dropout(dropout)
        self.shortcut, self.downsample = shortcut, None
        if shortcut and (stride != 1 or before != after):
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        """(examples, after, height / stride, width / stride)."""
        out = relu(self.bn2(self.conv1(relu(self.bn1(x)))))
        if self.conv3 is None or self.bn3 is None:
            out = self.conv2(self.dropout(out))
        else:
            out = self.conv3(self.dropout(relu(self.bn3(self.conv2(out)))))
        if not self.shortcut:
            return out
        return out + (x if self.downsample is None else self.downsample(x))


class PreResNet(Staged):
    """Three stages of pre-activation blocks (He et al. 2016b; wide: Zagoruyko and Komodakis 2016).

    Tensors have the names of the pre-activation code of Garipov et al. (2018). Files of their wide networks do not fit:
    those halve the image in the second convolution of a block, these in the first, as Zagoruyko and Komodakis do.

    Args:
        depth: layers with weights: 9 n + 2 with bottlenecks, 6 n + 4 without.
        width: multiplies the channels of the stages, not of the first convolution.
        bottleneck: 1 x 1, 3 x 3, 1 x 1 blocks instead of two 3 x 3 convolutions.
        bias: whether convolutions have a bias, as in the wide networks of Garipov et al. (2018).
        dropout: fraction of units dropped before the last convolution of each block.
        shortcut: whether blocks add their input.
        num_classes: outputs.
        input_shape: channels, height, width of one image.

    Raises:
        ValueError: if no whole number of blocks has this depth, or the width is below 1.
    """

    _renamed: ClassVar[dict[str, str]] = {r"\.shortcut\.(weight|bias)$": r".downsample.0.\1", "^linear\\.": "fc."}

    def __init__(
        self,
        depth: int = 164,
        width: int = 1,
        bottleneck: bool = True,
        bias: bool = False,
        dropout: float = 0.0,
        shortcut: bool = True,
        num_classes: int = 10,
        input_shape: Sequence[int] = (3, 32, 32),
    ) -> None:
        super().__init__()
        layers, rest = (9, 2) if bottleneck else (6, 4)
        if depth < layers + rest or (depth - rest) % layers:
            raise ValueError(f"depth must be {layers} n + {rest}, got {depth}")
        if width < 1:
            raise ValueError(f"width must be 1 or more, got {width}")
        channels = 16
        self.conv1 = nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=bias)
        blocks: list[nn.Module] = []
        for stage in range(3):
            for i in range((depth - rest) // layers):
                planes, stride = 16 * width * 2**stage, 2 if stage > 0 and i == 0 else 1
                blocks.append(PreBlock(channels, planes, stride, bottleneck, bias, dropout, shortcut))
                channels = planes * (4 if bottleneck else 1)
        self.set_stages(blocks)
        self.bn = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, num_classes)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (examples, num_classes)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(channels_last(x)))))
        return self.fc(relu(self.bn(x)).mean((2, 3)))
