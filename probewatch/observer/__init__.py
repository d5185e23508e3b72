"""The one place where the parts meet: frames in, events out, one Timeline at the end.

`core` carries frames through `wire` and sorts what comes out by target; `target` decides what is a kubelet's attempt
and what is not; `lane` assigns attempts to
workers and lets `decisions` count them; `build` and `assemble` turn the result into the values of `model.timeline`.
Pure: time enters as data.
"""

from .core import Observer
from .ledger import Keep
from .settings import Settings
from .teller import Change

__all__ = ["Change", "Keep", "Observer", "Settings"]
