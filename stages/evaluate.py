"""`datapipe evaluate`: what parts of the pipeline are worth on texts of one's own."""

import typer

from stages.dedup.evaluation.command import corpus_command, dedup_command
from stages.tokens.command import evaluate_tokenizer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure dedup and tokenizers on your own texts.")
app.command("dedup")(dedup_command)
app.command("corpus")(corpus_command)
app.command("tokenizer")(evaluate_tokenizer)
