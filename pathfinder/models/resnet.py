"""Residual networks for small images, with or without shortcuts, of any depth and width."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from pathfinder.models.layers import channels_last, he_normal
from pathfinder.models.names import Staged


class Block(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm; a shortcut adds the input before the last ReLU.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: of the first convolution.
        shortcut: whether the input is added, through a 1 x 1 convolution with BatchNorm if its shape changes.
    """

    def __init__(self, before: int, after: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module | None = nn.Sequential() if shortcut else None
        if shortcut and (stride != 1 or before != after):
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """(examples, after, height / stride, width / stride)."""
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(out if self.shortcut is None else out + self.shortcut(x))


class ResNet(Staged):
    """Three stages of blocks with 16, 32 and 64 times `width` channels (He et al. 2016, section 4.2).

    Without shortcuts, and wider at depth 56, these are the networks of Li et al. (2018, sections 5.2 and 5.3); tensors
    have the names of their code, so that their files load.

    Args:
        depth: layers with weights, 6 n + 2 for n blocks in a stage.
        width: multiplies the channels of every stage, the first convolution included; a fraction makes it narrower.
        shortcut: whether blocks add their input.
        num_classes: outputs.
        input_shape: channels, height, width of one image.

    Raises:
        ValueError: if the depth is not 6 n + 2, or a stage would have no channels.
    """

    def __init__(
        self,
        depth: int = 20,
        width: int | float = 1,
        shortcut: bool = True,
        num_classes: int = 10,
        input_shape: Sequence[int] = (3, 32, 32),
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6 n + 2, such as 20, 56 or 110, got {depth}")
        if round(16 * width) < 1:
            raise ValueError(f"width must leave a channel, got {width}")
        channels = round(16 * width)
        self.conv1 = nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        blocks: list[nn.Module] = []
        for stage in range(3):
            for i in range((depth - 2) // 6):
                after, stride = round(16 * width) * 2**stage, 2 if stage > 0 and i == 0 else 1
                blocks.append(Block(channels, after, stride, shortcut))
                channels = after
        self.set_stages(blocks)
        self.linear = nn.Linear(channels, num_classes)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (examples, num_classes)."""
        x = relu(self.bn1(self.conv1(channels_last(x))))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))
