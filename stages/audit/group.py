"""`datapipe audit`: what people do with a finished corpus, beside the report: sample, judge, sign, hand on."""

import typer

from stages.audit.review.command import sample
from stages.audit.review.verdicts import verdicts
from stages.audit.signed.command import attach, log, sign
from stages.audit.standards.command import standards

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Sample, judge, sign and describe a finished corpus."
)
app.command()(sample)
app.command()(verdicts)
app.command()(standards)
app.command()(sign)
app.command()(attach)
app.command()(log)
