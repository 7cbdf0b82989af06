"""Independent build of the two published networks, from their layers' names and order.

They share no code with ours: batch norms, in training mode on one scan or slice at a time, as
the authors ran them; the stages s4 and s5, which never run, are there too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 16, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False)
        self.bn = nn.BatchNorm3d(16)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(functional.relu(self.bn(self.conv(x))))


class Branch2(nn.Module):
    def __init__(self, channels: int, inner: int, wide: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Conv3d(channels, inner, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = nn.Conv3d(
            inner, inner, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False
        )
        self.b_bn = nn.BatchNorm3d(inner)
        self.c = nn.Conv3d(inner, wide, 1, bias=False)
        self.c_bn = nn.BatchNorm3d(wide)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.a_bn(self.a(x)))
        x = functional.relu(self.b_bn(self.b(x)))
        return self.c_bn(self.c(x))


class ResBlock(nn.Module):
    def __init__(self, channels: int, inner: int, wide: int, stride: int) -> None:
        super().__init__()
        self.branch1 = nn.Conv3d(channels, wide, 1, stride=(1, stride, stride), bias=False)
        self.branch1_bn = nn.BatchNorm3d(wide)
        self.branch2 = Branch2(channels, inner, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.branch1_bn(self.branch1(x)) + self.branch2(x))


def stage(channels: int, inner: int, wide: int, stride: int) -> nn.Module:
    held = nn.Module()
    held.add_module("pathway0_res0", ResBlock(channels, inner, wide, stride))
    return held


class AuthorsClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.s1 = nn.Module()
        self.s1.add_module("pathway0_stem", Stem())
        self.s2 = stage(16, 16, 64, 1)
        self.s3 = stage(64, 32, 128, 2)
        self.s4 = stage(128, 64, 256, 2)
        self.s5 = stage(256, 128, 512, 2)
        self.head = nn.Sequential(
            nn.AdaptiveMaxPool3d((16, 24, 36)),
            nn.Conv3d(128, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool3d((4, 12, 18)),
            nn.Conv3d(64, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool3d((1, 6, 9)),
            nn.Dropout3d(0.0),
            nn.Conv3d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool3d(1),
        )
        self.classifier = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2.pathway0_res0(self.s1.pathway0_stem(x))
        x = self.s3.pathway0_res0(functional.max_pool3d(x, (2, 1, 1)))
        return self.classifier(self.head(x).flatten(1))


class DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        deep = self.up(deep)
        dy, dx = skip.size(2) - deep.size(2), skip.size(3) - deep.size(3)
        deep = functional.pad(deep, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([skip, deep], dim=1))


class AuthorsUNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inc = DoubleConv(1, 16)
        self.down1, self.down2 = Down(16, 32), Down(32, 64)
        self.down3, self.down4 = Down(64, 128), Down(128, 128)
        self.up1, self.up2 = Up(256, 64), Up(128, 32)
        self.up3, self.up4 = Up(64, 16), Up(32, 16)
        self.outc = nn.Module()
        self.outc.add_module("conv", nn.Conv2d(16, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x5 = self.down4(x4)
        return self.outc.conv(self.up4(self.up3(self.up2(self.up1(x5, x4), x3), x2), x1))


def trained_looking(network: nn.Module, seed: int) -> nn.Module:
    """Give every norm a scale, a shift and running statistics of its own."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.train()
