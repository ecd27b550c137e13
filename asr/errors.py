"""Mistakes of a user, as opposed to bugs: the command line shows their message alone and exits 2."""


class UserError(Exception):
    """Something the user can put right. The message says where, what was found, what was wanted, what to do."""


class AudioError(UserError):
    """A sound file that is missing, damaged, empty or in a format that cannot be read."""


class ManifestError(UserError):
    """A manifest with bad rows."""


class CorpusError(UserError):
    """A corpus that cannot be downloaded, verified or found in the shape its publisher gives it."""


class TextError(UserError):
    """Text with symbols that the alphabet does not have, or words without a pronunciation."""


class ConfigError(UserError):
    """A recipe with unknown keys, wrong types or impossible values."""


class DataError(UserError):
    """Training or test data that cannot be used as they stand."""


class ModelError(UserError):
    """A model folder that is incomplete or of another make."""
