"""Translation behind Ray Serve: any encoder-decoder model of transformers, with requests in batches."""
