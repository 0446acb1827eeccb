"""Unmodified `transformers`, `peft` and `diffusers` against the Hub of the environment."""

import sys
from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from huggingface_hub import HfApi, model_info
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

out = Path(sys.argv[1])
torch.manual_seed(0)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


config = LlamaConfig(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
)
model = LlamaForCausalLM(config)
model.push_to_hub("me/tiny-llama")
words = Tokenizer(models.WordLevel({"[UNK]": 0, "hello": 1, "hub": 2}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").push_to_hub("me/tiny-llama")
assert same(AutoModelForCausalLM.from_pretrained("me/tiny-llama").state_dict(), model.state_dict())
assert AutoTokenizer.from_pretrained("me/tiny-llama")("hello hub")["input_ids"] == [1, 2]
assert model_info("me/tiny-llama").library_name == "transformers"

base = AutoModelForCausalLM.from_pretrained("me/tiny-llama")
lora = get_peft_model(base, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False))
lora.save_pretrained(out / "lora")
HfApi().create_repo("me/tiny-lora")
HfApi().upload_folder(repo_id="me/tiny-lora", folder_path=out / "lora", path_in_repo="shapes/top-10pct")
lora.push_to_hub("me/tiny-lora-whole")
ids = torch.tensor([[1, 2, 3]])
expected = lora(ids).logits
assert torch.allclose(AutoPeftModelForCausalLM.from_pretrained("me/tiny-lora-whole")(ids).logits, expected)
base = AutoModelForCausalLM.from_pretrained("me/tiny-llama")
assert torch.allclose(
    PeftModel.from_pretrained(base, "me/tiny-lora", subfolder="shapes/top-10pct")(ids).logits, expected
)

unet = UNet2DModel(
    sample_size=8,
    block_out_channels=(8, 8),
    norm_num_groups=4,
    layers_per_block=1,
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
)
DDPMPipeline(unet, DDPMScheduler()).push_to_hub("me/tiny-ddpm")
pipeline = DDPMPipeline.from_pretrained("me/tiny-ddpm")
assert same(pipeline.unet.state_dict(), unet.state_dict())
assert pipeline(num_inference_steps=1, output_type="np").images.shape == (1, 8, 8, 3)
(out / "done").write_text("models")
