"""Product facts as data, each block with its source: gpus.toml and its loader. To add a product, add a block."""
