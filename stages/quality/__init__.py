"""Quality: signals of every document, and rules that decide by them which documents stay."""

from stages.quality.judge import Verdict, judge
from stages.quality.measure import measure
from stages.quality.signals import SIGNALS
from stages.quality.stage import Quality
from stages.quality.tables import Rule, Table, load

__all__ = ["SIGNALS", "Quality", "Rule", "Table", "Verdict", "judge", "load", "measure"]
