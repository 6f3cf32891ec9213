"""The networks that `meetsplit.training.refiner` trains: the refiner, and a U-Net to compare it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeAlias, TypeVar

from meetsplit.pipeline.separators import mask_refiner
from meetsplit.pipeline.separators.mask_refiner import Config, Refiner
from meetsplit.training import unet
from meetsplit.training.unet import UNet

Network: TypeAlias = Refiner | UNet
"""What can be trained."""

_AnyNetwork = TypeVar("_AnyNetwork", Refiner, UNet)


@dataclass(frozen=True, slots=True)
class NetworkKind(Generic[_AnyNetwork]):
    """What differs between the networks: how one is made and kept, and what is said of it.

    ``title`` and ``use`` are the card's. ``new`` makes an untrained one of so many channels and blocks, where they can
    be chosen. The state of its training lies in ``state_file``, in which ``current_name`` brings the names of weights
    up to date.
    """

    title: str
    use: str
    state_file: str
    current_name: Callable[[str], str]
    new: Callable[[int, int], _AnyNetwork]
    load: Callable[[Path], _AnyNetwork]
    save: Callable[[Path, _AnyNetwork], None]


NETWORK_KINDS: Mapping[str, NetworkKind[Any]] = MappingProxyType(
    {
        "refiner": NetworkKind(
            title="The refiner",
            use="the `adapted` separator starts from it",
            state_file="state.pt",
            current_name=mask_refiner.current_name,
            new=lambda width, blocks: Refiner(Config(width=width, blocks=blocks)),
            load=mask_refiner.load,
            save=mask_refiner.save,
        ),
        "unet": NetworkKind(
            title="The U-Net",
            use="a U-Net, to be compared with the refiner",
            state_file="state-unet.pt",
            current_name=str,
            new=lambda _width, _blocks: UNet(),
            load=unet.load,
            save=unet.save,
        ),
    }
)
"""The kinds by what ``--network`` calls them."""


def kind_of_file(path: Path) -> NetworkKind[Any]:
    """The kind of the network in a file of weights."""
    return NETWORK_KINDS["unet" if unet.is_unet(path) else "refiner"]


def load_network(path: Path) -> Network:
    """The refiner or the U-Net in a file of weights."""
    network: Network = kind_of_file(path).load(path)
    return network
