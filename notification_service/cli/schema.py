"""`schema`: the contract as documents for other programs. `make contract` writes them."""

from importlib import resources

import typer

from notification_service.cli.terminal import say_document

app = typer.Typer(help="The contract as documents: asyncapi, log, record.", no_args_is_help=True)


@app.command("asyncapi")
def print_asyncapi() -> None:
    """Print what is consumed and published, as AsyncAPI 3 in JSON."""
    _print("contract", "asyncapi.json")


@app.command("log")
def print_log_line() -> None:
    """Print the JSON Schema of a log line."""
    _print("observability", "log.schema.json")


@app.command("record")
def print_record() -> None:
    """Print the JSON Schema of a record, its dates in ISO 8601."""
    _print("stores/mongo", "record.schema.json")


def _print(folder: str, name: str) -> None:
    say_document(resources.files("notification_service").joinpath(folder, name).read_text("utf-8"))
