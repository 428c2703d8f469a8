"""Each language is punctuated by rules of its own, and each rule finds what breaks it."""

import shutil
from pathlib import Path

import pytest

from notification_service.content import catalogues
from notification_service.preview import extraction, punctuation
from tests.unit.test_templates import TEMPLATES


@pytest.mark.parametrize(
    ("language", "source", "translation", "said"),
    [
        ("fr", "Map:", "Plan :", "a no-break space before"),
        ("fr", "Map:", "Plan:", "a no-break space before"),
        ("fr", "Really?", "Vraiment ?", "a no-break space before"),
        ("fr", "Film", "« Amélie »", "a no-break space before"),
        ("fr", "The film", "L'affiche", "’ in a word"),  # noqa: RUF001 - quotation marks
        ("es", "Really?", "Seguro?", "¿…?"),
        ("es_419", "Really?", "De verdad?", "¿…?"),
        ("de", "Film", "Der “Film”", "„…“"),
        ("de", "Film", 'Der "Film"', "the quotation marks of the language"),
        ("de", "Thank you.", "Danke!", "only a salutation may have"),
        ("ja", "Seats: %(value)s", "座席: %(value)s", "full-width marks"),
        ("ja", "Thank you.", "ありがとうございます.", "full-width marks"),
        ("ja", "Thank you.", "完了しました。 ありがとうございます。", "no space between"),
        ("ar", "Hello %(name)s,", "مرحبًا %(name)s,", "the Arabic marks"),
        ("ar", "Really?", "حقًا?", "the Arabic marks"),
        ("hi", "Thank you.", "धन्यवाद.", "। at the end"),
        ("hi", "Thank you.", "धन्यवाद", "does not end with '.'"),
        ("hi", "Last", "आख़िरी", "the nuqta"),
        ("hi", "Confirmed", "पुष्टि", "कन्फ़र्म"),
        ("es", "Seats", "Butacas.", "ends with '.'"),
        ("fr", "Get directions:", "Itinéraire", "does not end with ':'"),
        ("es", "Seats here", "Butacas  aquí", "one space"),
    ],
)
def test_a_rule_finds_what_breaks_it(language: str, source: str, translation: str, said: str) -> None:
    assert any(said in fault for fault in punctuation.faults(language, source, translation))


@pytest.mark.parametrize(
    ("language", "source", "translation"),
    [
        ("fr", "%(label)s: %(value)s", "%(label)s\u00a0: %(value)s"),
        ("es", "Hello %(name)s,", "Hola, %(name)s:"),
        ("de", "Hello %(name)s,", "Guten Tag %(name)s!"),
        ("ja", "Hello %(name)s,", "%(name)s 様"),
        ("ja", ", ", "、"),
        ("ar", "Didn't request this?", "ألم تطلب ذلك؟"),
    ],
)
def test_what_the_language_writes_is_no_fault(language: str, source: str, translation: str) -> None:
    assert list(punctuation.faults(language, source, translation)) == []


def test_the_check_of_the_catalogues_asks_these_rules_in_regional_catalogues_too(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    path = copy / catalogues.LANGUAGES / "es_419.po"
    path.write_text(path.read_text("utf-8").replace("¿No lo solicitó usted?", "No lo solicitó usted?"), "utf-8")
    (fault,) = extraction.faults(copy)
    assert fault.startswith("es_419.po: \"Didn't request this?\": 'No lo solicitó usted?'")
