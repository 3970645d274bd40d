"""`datapipe audit`: what people do with a finished corpus, beside the report: sample, judge, sign, hand on."""

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Sample, judge, sign and describe a finished corpus."
)
