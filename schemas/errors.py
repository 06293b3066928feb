"""Operating errors: each name says what the operator must do, each message shows the value and the next step.

LatidoError
+-- ConfigError      a setting, model or policy is wrong: mend it and start again
+-- TopicsError      topics are missing or do not fit: create or mend them and start again
+-- StateError       the committed state does not fit this program or these topics: follow the procedure
+-- BrokerError      the broker cannot be reached: check the address, start again
+-- AccountError     the account is not known: check its id
+-- LetterError      the dead letter is not there (any more): list those there are
"""

from __future__ import annotations


class LatidoError(Exception):
    """Base of all operating errors; the message is complete and meant for the operator."""


class ConfigError(LatidoError):
    """A setting, model file or policy is wrong. Mend what the message names and start again."""


class TopicsError(LatidoError):
    """Topics are missing, or their partition counts do not fit. Create or mend them and start again."""


class StateError(LatidoError):
    """The committed state does not fit this program or these topics. Follow the procedure in the message."""


class BrokerError(LatidoError):
    """The broker cannot be reached. Check the address and the broker, then start again."""


class AccountError(LatidoError):
    """The account is not known. Check its id, letter by letter, and where it was looked for."""


class LetterError(LatidoError):
    """The dead letter is not there, or not any more. List those there are."""
