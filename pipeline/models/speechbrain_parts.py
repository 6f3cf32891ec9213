"""Allow-list for SpeechBrain model folders: classes that may be built, their arguments, and names to ignore."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["number", "flag", "word", "numbers", "part", "activation"]
"""Kind of an argument; ``part`` is another module of `PARTS`, ``activation`` a class of `ACTIVATIONS`."""


def _arguments(**kinds: str) -> Mapping[str, Kind]:
    """The kind of each argument by name: ``number="a b"`` gives ``{"a": "number", "b": "number"}``."""
    return MappingProxyType({name: kind for kind, names in kinds.items() for name in names.split()})  # type: ignore[misc]


_TRANSFORMER = {
    "number": "num_layers d_model nhead d_ffn kdim vdim dropout",
    "flag": "use_positional_encoding norm_before causal use_norm use_skip",
    "word": "activation attention_type norm_type",
    "numbers": "input_shape",
}

PARTS: Mapping[str, Mapping[str, Kind]] = MappingProxyType(
    {
        "speechbrain.lobes.models.dual_path.Encoder": _arguments(number="kernel_size out_channels in_channels"),
        "speechbrain.lobes.models.dual_path.Decoder": _arguments(
            number="in_channels out_channels kernel_size stride padding output_padding groups dilation", flag="bias"
        ),
        "speechbrain.lobes.models.dual_path.SBTransformerBlock": _arguments(**_TRANSFORMER),
        "speechbrain.lobes.models.dual_path.Dual_Path_Model": _arguments(
            number="in_channels out_channels num_layers K num_spks max_length",
            flag="skip_around_intra linear_layer_after_inter_intra use_global_pos_enc",
            word="norm",
            part="intra_model inter_model",
        ),
        "speechbrain.lobes.models.dual_path.SBRNNBlock": _arguments(
            number="input_size hidden_channels num_layers dropout", flag="bidirectional", word="rnn_type"
        ),
        "speechbrain.lobes.models.conv_tasnet.MaskNet": _arguments(
            number="N B H P X R C", flag="causal", word="norm_type mask_nonlinear"
        ),
        "speechbrain.lobes.models.resepformer.SBTransformerBlock_wnormandskip": _arguments(**_TRANSFORMER),
        "speechbrain.lobes.models.resepformer.ResourceEfficientSeparator": _arguments(
            number="input_dim num_spk layer unit segment_size dropout",
            flag="causal",
            word="nonlinear mem_type",
            part="seg_model mem_model",
        ),
        "speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN": _arguments(
            number="input_size lin_neurons attention_channels res2net_scale se_channels dropout",
            flag="global_context",
            numbers="channels kernel_sizes dilations groups",
            activation="activation",
        ),
        "speechbrain.lobes.models.ResNet.ResNet": _arguments(
            number="input_size lin_neurons", numbers="channels block_sizes strides", activation="activation"
        ),
        "speechbrain.lobes.models.Xvector.Xvector": _arguments(
            number="tdnn_blocks lin_neurons in_channels",
            numbers="tdnn_channels tdnn_kernel_sizes tdnn_dilations",
            activation="activation",
        ),
        "speechbrain.lobes.features.Fbank": _arguments(
            number="sample_rate f_min f_max n_fft n_mels param_change_factor param_rand_factor "
            "left_frames right_frames win_length hop_length",
            flag="deltas context requires_grad",
            word="filter_shape",
        ),
        "speechbrain.processing.features.InputNormalization": _arguments(
            number="avg_factor length_dim update_until_epoch epsilon",
            flag="mean_norm std_norm avoid_padding_norm",
            word="norm_type",
        ),
    }
)
"""Classes that may be built, with the kind of each argument."""

ACTIVATIONS = frozenset(
    {"torch.nn.ReLU", "torch.nn.LeakyReLU", "torch.nn.GELU", "torch.nn.PReLU", "torch.nn.Tanh", "torch.nn.Sigmoid"}
)
"""Activation functions that an argument may name."""

PRETRAINER = "speechbrain.utils.parameter_transfer.Pretrainer"
"""The class whose arguments say which file holds the weights of which module."""

SEED_CALLS = frozenset(
    {
        "torch.manual_seed",
        "torch.cuda.manual_seed_all",
        "numpy.random.seed",
        "random.seed",
        "speechbrain.utils.seed_everything",
    }
)
"""Calls that may stand in a file and are ignored."""

IGNORED_CLASSES = frozenset(
    {
        PRETRAINER,
        "speechbrain.dataio.encoder.CategoricalEncoder",
        "speechbrain.lobes.models.ECAPA_TDNN.Classifier",
        "speechbrain.lobes.models.ResNet.Classifier",
        "speechbrain.lobes.models.Xvector.Classifier",
        "speechbrain.inference.interfaces.AudioNormalizer",
        "speechbrain.dataio.preprocess.AudioNormalizer",
        "speechbrain.nnet.losses.get_si_snr_with_pitwrapper",
        "speechbrain.nnet.losses.get_snr_with_pitwrapper",
        "speechbrain.nnet.losses.LogSoftmaxWrapper",
        "speechbrain.nnet.losses.AdditiveAngularMargin",
        "speechbrain.nnet.losses.nll_loss",
        "speechbrain.nnet.schedulers.ReduceLROnPlateau",
        "speechbrain.nnet.schedulers.CyclicLRScheduler",
        "speechbrain.nnet.schedulers.LinearScheduler",
        "speechbrain.utils.checkpoints.Checkpointer",
        "speechbrain.utils.epoch_loop.EpochCounter",
        "speechbrain.utils.train_logger.FileTrainLogger",
        "speechbrain.utils.metric_stats.MetricStats",
        "speechbrain.utils.metric_stats.ErrorRateStats",
        "speechbrain.lobes.augment.TimeDomainSpecAugment",
        "speechbrain.lobes.augment.EnvCorrupt",
        "speechbrain.processing.speech_augmentation.SpeedPerturb",
        "speechbrain.processing.speech_augmentation.DropFreq",
        "speechbrain.processing.speech_augmentation.DropChunk",
        "speechbrain.augment.time_domain.SpeedPerturb",
        "speechbrain.augment.time_domain.DropFreq",
        "speechbrain.augment.time_domain.DropChunk",
        "speechbrain.augment.time_domain.AddNoise",
        "speechbrain.augment.time_domain.AddReverb",
        "speechbrain.augment.augmenter.Augmenter",
        "torch.nn.ModuleList",
        "torch.optim.Adam",
        "torch.optim.AdamW",
        "torch.optim.SGD",
        "torch.nn.BCEWithLogitsLoss",
    }
)
"""Classes that may stand in a file and are never imported: public folders carry what was used in training."""

DATA_TAGS = frozenset({"!ref", "!copy", "!tuple", "!PLACEHOLDER"})
"""Tags that build nothing."""

_NAMES_BY_TAG: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "!new": frozenset(PARTS) | IGNORED_CLASSES,
        "!name": ACTIVATIONS | IGNORED_CLASSES,
        "!apply": SEED_CALLS,
        "!applyref": SEED_CALLS,
    }
)


def is_allowed(tag: str) -> bool:
    """Whether a tag may stand in a file.

    >>> is_allowed("!new:speechbrain.lobes.features.Fbank"), is_allowed("!apply:os.system"), is_allowed("!ref")
    (True, False, True)
    """
    kind, _, name = tag.partition(":")
    return tag in DATA_TAGS or name in _NAMES_BY_TAG.get(kind, frozenset())
