"""Names that are nobody's at hand stay; the same words about somebody at hand hide them."""

import pytest

from renga.client.sanitisation.detection import detectors
from renga.client.sanitisation.entities import find

ALL = detectors()
NOBODY = {
    "a story": "Write a ghost story about a miller named Corwin; Corwin hears steps at night.",
    "a game": "Give my D&D ranger a rival; his name is Ulric Stormhand.",
    "a play": "act 2, scene 1\nEnter Tessa and Hugo.\nTESSA: I know my own heart.\nModernise it.",
    "a sum": "Nina has twice as many marbles as Theo. Together they have 36. How many has each?",
    "a saying": "Where does the expression 'even Stephen' come from?",
    "names themselves": "How do you pronounce Eithne and Caoimhe?",
    "grammar": "Parse the sentence: Martha lent Simon a pen.",
    "an eponym": "Does Carson's rule follow from Shannon's theorem? And what is a Wilson cell?",
    "a firm": "Is Hutchins & Sons older than Barker & Co.?",
    "a shop": "Is Ruby's cheaper than the diner next door?",
    "one of a kind": "Which soil is right for a Camilla?",
    "a pet": "our dog Bruno limps since the walk",
    "a title": 'Explain the line in "Delilah" about the knife.',
    "a saint's": "Is St. Agatha on Sicily worth a day?",
    "beside somebody known": "Did Taylor Swift borrow from Shelby and Norma?",
    "a known name in a run": "Paraphrase Barack Obama's farewell address.",
    "code": 'const guest = { name: "Alice", age: 30 };',
    "kin in a sum": "Nina and her brother Theo are 30 together; Nina is 4 years older. How old is Theo?",
    "a specimen": 'What does `git log --author="Jane Doe"` print?',
    "名付け": "蓮という名前の由来の例を教えて。",
    "物語": "主人公が旅に出る短い物語を書いてください。名前はハルト。",
    "棋士": "棋士の渡辺明はなぜ有名ですか。",
    "城": "松本城の天守は何階建てですか。",
    "土地": "長野の上田は蕎麦で有名ですか。",
}
SOMEBODY = {
    "a letter to a specimen": "Dear Jane Doe,\nyour card has expired.",
    "a specimen with a card": "Jane Doe",
    "a story for": "Write a ghost story for Corwin Aldana, who turns nine.",
    "a candidate": "Role-play a job interview with the candidate Vikram Joshi.",
    "kin": "Write a poem about my sister Nina and our dog.",
    "a patient": "Patient: Nina Aldana, 35. How many mg of ibuprofen twice a day?",
    "a reference": "Character reference for court: Dean Whitlock, no prior convictions.",
    "German article": "Schick eine Mail an Helga, sie soll morgen kommen.",
    "手紙": "退院した井上千夏への手紙を書いて。",
    "紹介": "歴史サークルの部長、中村翔太の紹介文を書いて。",
}


@pytest.mark.parametrize("text", NOBODY.values(), ids=NOBODY)
def test_a_name_that_is_nobodys_stays(text):
    assert [text[e.start : e.end] for e in find(text, detectors=ALL)] == []


@pytest.mark.parametrize("text", SOMEBODY.values(), ids=SOMEBODY)
def test_a_name_of_somebody_at_hand_is_hidden(text):
    assert find(text, detectors=ALL)


@pytest.mark.parametrize(
    "text",
    [
        "user = Account.objects.get(pk=1)",
        'token = session["csrf_token"]',
        "interface Item {\n  id: number;\n  user: boolean;\n}",
        "user: what's the sum?\nassistant: 4\nuser: and the product?",
    ],
)
def test_code_and_roles_are_no_user_names(text):
    assert find(text, detectors=ALL) == []
