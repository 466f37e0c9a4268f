"""The GrooVAE configurations under their name in Magenta: `groovae.configs`.

from groovae import configs
config = configs.get_config("groovae_4bar", "batch_size=64")
"""

from groovae.config.config_map import CONFIG_MAP, Config, get_config, update_config

__all__ = ["CONFIG_MAP", "Config", "get_config", "update_config"]
