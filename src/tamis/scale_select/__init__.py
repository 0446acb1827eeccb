"""scale_select: unified modality scoring for vision-language instruction data (SCALE, arXiv 2506.08429)."""
