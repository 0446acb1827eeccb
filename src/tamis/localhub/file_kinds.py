"""Which files go to LFS, and what a file is served as."""

from __future__ import annotations

from fnmatch import fnmatch

# fmt: off
_LFS_PATTERNS = (
    "*.7z", "*.arrow", "*.avi", "*.bin", "*.bmp", "*.bz2", "*.ckpt", "*.flac", "*.ftz", "*.gif", "*.gguf",
    "*.gz", "*.h5", "*.jpeg", "*.jpg", "*.joblib", "*.mlmodel", "*.model", "*.mp3", "*.mp4", "*.msgpack",
    "*.npy", "*.npz", "*.onnx", "*.ot", "*.parquet", "*.pb", "*.pickle", "*.pkl", "*.png", "*.pt", "*.pth",
    "*.rar", "*.safetensors", "*.tar", "*.tar.*", "*.tflite", "*.tgz", "*.tif", "*.tiff", "*.wasm", "*.wav",
    "*.webp", "*.xz", "*.zip", "*.zst", "*tfevents*",
)
# fmt: on
LARGEST_REGULAR = 10 << 20
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LFS_PATTERNS).encode()

PICTURES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
_TEXTS = {"csv", "json", "jsonl", "log", "md", "py", "sql", "toml", "tsv", "txt", "xml", "yaml", "yml"}


def is_lfs(path: str, size: int, sample: bytes) -> bool:
    """The Hub's rule: by extension, by size, or because the first bytes are not text. Empty files never are."""
    if size == 0:
        return False
    name = path.rpartition("/")[2].lower()
    return size > LARGEST_REGULAR or b"\x00" in sample or any(fnmatch(name, pattern) for pattern in _LFS_PATTERNS)


def extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def content_type(path: str) -> str:
    """Only what cannot run anything in a browser gets its own type; see `api_files` for what guards .html."""
    kind = extension(path)
    if kind in PICTURES:
        return PICTURES[kind]
    if kind in ("html", "htm"):
        return "text/html; charset=utf-8"
    return "text/plain; charset=utf-8" if kind in _TEXTS or not kind else "application/octet-stream"
