"""Weights shared out over ranks, as accelerate_configs/fsdp.yaml asks for, on two CPU ranks of gloo.

accelerate (1.15) shares weights out over accelerators alone, and trains CPU ranks by DDP where its environment asks for
FSDP. torch does it on CPUs as well: here accelerate's state is told that it is so, and everything else is what runs.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import killing
import pytest
import torch
from safetensors.torch import load_file
from small_diffusion import SAME, apart
from small_pairs import TINY
from small_talks import parted, settings, talks

from tamis.config import ConfigError
from tamis.run import Run
from tamis.training import trl_training
from tamis.training.vlm_tuning import train_vlms

FILE = {"lora": "adapter_model.safetensors", "language_model": "model.safetensors"}
CUT = 9  # what a rank ends with that is cut off


def share_out(**more: str) -> None:
    """This rank, forked for it, holds a share of the weights from here on."""
    from accelerate import DistributedType
    from accelerate.state import AcceleratorState, PartialState

    asked = {"VERSION": "2", "AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP", "STATE_DICT_TYPE": "SHARDED_STATE_DICT"}
    asked |= {"TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer", "RESHARD_AFTER_FORWARD": "true"}
    asked |= {"CPU_RAM_EFFICIENT_LOADING": "true", "ACTIVATION_CHECKPOINTING": "false"} | more
    os.environ |= {f"FSDP_{name}": value for name, value in asked.items()} | {"ACCELERATE_USE_FSDP": "true"}
    made = AcceleratorState.__init__

    def told(self: Any, *given: Any, fsdp_plugin: Any = None, **named: Any) -> None:
        made(self, *given, fsdp_plugin=fsdp_plugin, **named)
        if fsdp_plugin is not None:
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            AcceleratorState._shared_state |= {"distributed_type": DistributedType.FSDP, "fsdp_plugin": fsdp_plugin}

    AcceleratorState.__init__ = told


def work(folder: Path, ranks: int, rank: int, port: int, config: Any, *, cut: bool = False) -> None:
    killing.be_rank(rank, ranks, port)
    torch.set_num_threads(1)
    held: list[int] = []
    if ranks > 1:
        share_out()
        log = trl_training.Clock.on_log

        def on_log(self: Any, args: Any, state: Any, control: Any, model: Any, **told: Any) -> None:
            held.append(sum(weight.to_local().numel() for weight in model.parameters()))
            if cut and state.global_step == 3:
                os._exit(CUT)
            log(self, args, state, control, **told)

        trl_training.Clock.on_log = on_log
    run = Run(folder)
    [made] = train_vlms({"a": talks(12)}, config, run).values()
    whole = sum(weight.numel() for weight in load_file(TINY / FILE["language_model"]).values())
    assert all(0.4 * whole < some < 0.6 * whole for some in held)
    assert made.train_metrics["trainable_parameters"] == {"lora": 25_600, "language_model": 1_625_600}[config.tuning]
    assert run.stages[-1]["steps"] == (4 if ranks == 1 else 2)
    run.wait()
    run.close()


@pytest.mark.parametrize("tuning", list(FILE))
def test_it_learns_what_one_rank_learns_and_goes_on_when_cut_off(tmp_path: Path, tuning: str) -> None:
    config = settings(tuning=tuning, max_train_steps=4, learning_rate=1e-4, checkpoint_seconds=0.0)
    config.gradient_checkpointing = True
    assert killing.wait([killing.fork(partial(work, tmp_path / "1", 1, 0, 0, config))]) == [0]
    for cut in (True, False):
        port = killing.free_port()
        ranks = [partial(work, tmp_path / "2", 2, rank, port, config, cut=cut) for rank in range(2)]
        assert killing.wait([killing.fork(one) for one in ranks]) == ([CUT, CUT] if cut else [0, 0])
    one, two = (load_file(tmp_path / ranks / "adapters" / "a" / FILE[tuning]) for ranks in "12")
    base = load_file(TINY / FILE["language_model"])
    assert (apart(one, two) if tuning == "lora" else parted(base, one, two)) < SAME


def test_what_would_not_be_gone_on_with_is_refused(tmp_path: Path) -> None:
    port = killing.free_port()

    def refused(rank: int) -> None:
        killing.be_rank(rank, 2, port)
        share_out(ACTIVATION_CHECKPOINTING="true")
        run = Run(tmp_path)
        with pytest.raises(ConfigError, match="fsdp_activation_checkpointing: "):
            train_vlms({"a": talks(4)}, settings(), run)
        run.wait()

    assert killing.wait([killing.fork(partial(refused, rank)) for rank in range(2)]) == [0, 0]
