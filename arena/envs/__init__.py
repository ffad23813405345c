"""The arena for other people's code: PettingZoo, Gymnasium, vector environments; nothing of minds or ancestry."""

from arena.envs.registration import register

register()
