"""Make the map of a model's latent space that `groovae studio` shows.

    python scripts/make_map.py data_dir/music-train.tfrecord --model=groovae/bundled/groovae_4bar

Encodes windows of the training data, evenly chosen, without the sparsest 5 %, and lays them out in
the plane by t-SNE (scikit-learn). Writes `map.npz` beside the model, which must have a fitted
prior. Styles are read from file names such as 1_funk_80_beat_4-4.mid. Takes half a minute.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.manifold import TSNE

from groovae.data import records, window_cache
from groovae.data.styles import styles_of
from groovae.generation.fitting import encode_windows, is_dense
from groovae.generation.networks import load_network, load_prior
from groovae.metrics.structure import hits_per_bar
from groovae.studio.latent_map import MAP_FILE, LatentMap, write_map


def main() -> None:
    options = _parse_arguments()
    network = load_network(options.model, None, "", None, 128)
    prior = load_prior(network)
    if prior is None:
        raise SystemExit(f"{options.model}: this model has no fitted prior")
    windows = window_cache.load(records.find(options.examples), network.layout, Path.cwd())
    outputs = windows.outputs(np.arange(len(windows)))
    dense = np.flatnonzero(is_dense(hits_per_bar(outputs, network.layout.meter)))
    chosen = dense[np.linspace(0, len(dense) - 1, min(options.num, len(dense))).astype(int)]
    styles = styles_of([windows.source(int(number)).filename for number in chosen])
    names = sorted(set(styles), key=lambda name: (-styles.count(name), name))
    latents = encode_windows(network, outputs[chosen])
    latent_map = LatentMap(
        latents,
        _lay_out(latents, options.seed),
        np.array([names.index(style) for style in styles]),
        tuple(names),
        prior.model,
    )
    path = Path(options.model) / MAP_FILE
    write_map(path, latent_map)
    print(f"{path}: {len(chosen)} of {len(windows)} windows, {path.stat().st_size:,} bytes")


def _lay_out(latents: np.ndarray, seed: int) -> np.ndarray:
    """Return a place for each latent, from -1 to 1."""
    places = TSNE(init="pca", random_state=seed, perplexity=30).fit_transform(latents)
    low, high = places.min(axis=0), places.max(axis=0)
    return 2 * (places - low) / (high - low) - 1


def _parse_arguments() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("examples", help="a TFRecord of the training data")
    parser.add_argument("--model", default="groovae/bundled/groovae_4bar")
    parser.add_argument("--num", type=int, default=1000, help="windows in the map")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
