"""Invented people, streets, towns and firms to stand for real ones, by language; Japanese names in the
spellings that go together. What detectors know comes from elsewhere: nothing is found by these lists.

Names are such as a small model knows, of one or two tokens in most vocabularies: it takes a rare name for what
the question is about, and misspells it. None is a common word, a country or a month, since a name by itself is
restored too."""

from __future__ import annotations

FEMALE, MALE = "f", "m"


def _listed(names: str) -> tuple[str, ...]:
    return tuple(names.split())


GIVEN: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        FEMALE: _listed(
            "Allison Caroline Christine Deborah Jennifer Kathleen Lauren Lorraine Melissa Michelle "
            "Olivia Patricia Rebecca Samantha Stephanie Teresa"
        ),
        MALE: _listed(
            "Bradley Brian Edmund Geoffrey Gerald Gregory Jeffrey Jonathan Kenneth Kevin Malcolm "
            "Nathaniel Nicholas Raymond Ronald Steven"
        ),
    },
    "de": {
        FEMALE: _listed(
            "Andrea Claudia Ingrid Johanna Karin Marlene Martina Monika Petra Sabine Susanne Ursula"
        ),
        MALE: _listed(
            "Friedrich Gerhard Heinrich Helmut Klaus Konrad Ludwig Manfred Stefan Ulrich Werner Wolfgang"
        ),
    },
    "fr": {
        FEMALE: _listed(
            "Bernadette Brigitte Catherine Dominique Isabelle Juliette Mathilde Monique Nathalie "
            "Odile Sandrine Sylvie"
        ),
        MALE: _listed(
            "Alain Antoine Bertrand Christophe Didier Fabrice François Guillaume Laurent Mathieu "
            "Philippe Xavier"
        ),
    },
    "es": {
        FEMALE: _listed(
            "Adriana Alicia Beatriz Cristina Elena Isabel Marta Natalia Patricia Raquel Silvia Teresa"
        ),
        MALE: _listed(
            "Alberto Alejandro Eduardo Fernando Francisco Gonzalo Ignacio Javier Miguel Rafael "
            "Ricardo Rodrigo"
        ),
    },
}
FAMILY: dict[str, tuple[str, ...]] = {
    "en": _listed(
        "Andrews Barrett Bennett Blackwell Buchanan Crawford Cunningham Davidson Dawson Ferguson "
        "Fitzgerald Gibson Griffith Harmon Hawkins Henderson Hutchinson Jenkins Morrison Patterson "
        "Pearson Perkins Peterson Reynolds Richardson Robertson Saunders Snyder Stevenson Sullivan "
        "Thompson Wilkinson Williamson"
    ),
    "de": _listed(
        "Albrecht Brandt Hartmann Hoffmann Huber Krause Lehmann Lindner Neumann Schulz Seidel Winkler"
    ),
    "fr": _listed("Boyer Dubois Dupont Garnier Gautier Girard Lambert Leclerc Mercier Moreau Morel Perrin"),
    "es": _listed(
        "Aguilar Cabrera Carrasco Herrera Mendoza Montoya Navarro Ortega Quintana Romero Salazar Valdez"
    ),
}

Spelled = tuple[str, str, str]  # kanji, hiragana, romaji


def _spelled(names: str) -> tuple[Spelled, ...]:
    rows = (name.split() for name in names.split(", "))
    return tuple((kanji, kana, romaji) for kanji, kana, romaji in rows)


FAMILY_JA = _spelled(
    "葛西 かさい Kasai, 城戸 きど Kido, 久世 くぜ Kuze, 寺西 てらにし Teranishi, "
    "長瀬 ながせ Nagase, 仁科 にしな Nishina, 檜山 ひやま Hiyama, 槙野 まきの Makino"
)
GIVEN_JA: dict[str, tuple[Spelled, ...]] = {
    FEMALE: _spelled(
        "綾乃 あやの Ayano, 小夜子 さよこ Sayoko, 千鶴 ちづる Chizuru, 初音 はつね Hatsune, "
        "真澄 ますみ Masumi, 美咲 みさき Misaki, 百合 ゆり Yuri, 若葉 わかば Wakaba"
    ),
    MALE: _spelled(
        "敦 あつし Atsushi, 一真 かずま Kazuma, 慎吾 しんご Shingo, 大悟 だいご Daigo, "
        "徹也 てつや Tetsuya, 晴彦 はるひこ Haruhiko, 文人 ふみと Fumito, 良介 りょうすけ Ryosuke"
    ),
}

STREETS: dict[str, tuple[str, ...]] = {
    "en": (
        "Alder Lane",
        "Foxglove Road",
        "Harbour Street",
        "Millstone Avenue",
        "Quarry Road",
        "Tanner Street",
    ),
    "de": ("Ahornweg", "Gerberstraße", "Hafenstraße", "Lindenallee", "Mühlenweg", "Steinbruchweg"),
    "fr": ("rue des Aulnes", "rue du Moulin", "avenue du Port", "rue des Tanneurs", "chemin des Carrières"),
    "es": ("calle del Molino", "calle de los Alisos", "avenida del Puerto", "calle de la Cantera"),
}
TOWNS: dict[str, tuple[str, ...]] = {
    "en": ("Eastmere", "Fallowbridge", "Kingsholt", "Norwick", "Stonehythe", "Wexcombe"),
    "de": ("Altenroda", "Birkenau am See", "Königsrode", "Lauterfeld", "Neuwalden", "Steinhausen"),
    "fr": ("Aubreville", "Clairmont-sur-Lys", "Fontbelle", "Montrevel", "Rochemaure", "Valgris"),
    "es": ("Arroyoseco", "Fuenterreal", "Monteclaro", "Puertoviejo", "Robledal", "Valdemora"),
    "ja": ("青葉台市", "霧ヶ浜市", "桜ヶ原町", "白鷺市", "月見野市", "緑川町"),
}
FIRMS: dict[str, tuple[str, ...]] = {
    "en": ("Alderbrook Ltd", "Corvane Group", "Fernhill Partners", "Larkspur Systems", "Marrowgate plc"),
    "de": ("Ahornwerk GmbH", "Falkenau AG", "Lindtal GmbH", "Nordstern Werke", "Seehof KG"),
    "fr": ("Ateliers Clairval", "Groupe Montjoie", "Lys et Fils", "Société Aubrac", "Valfleur SARL"),
    "es": ("Grupo Alameda", "Hermanos Robledo", "Monteclaro S.A.", "Talleres Arroyo", "Valdeluz S.L."),
    "ja": ("青葉製作所", "霧浜商事", "白鷺電機", "月見野物産", "緑川工業"),
}
WORDS = _listed(
    "amber bridge castle cloud delta ember falcon forest orbit planet purple river rocket "
    "summer window winter"
)

# Endings and titles that say a gender, where the lists above don't.
TITLES = {
    FEMALE: ("mrs", "ms", "miss", "frau", "mme", "mlle", "madame", "señora", "sra", "doña"),
    MALE: ("mr", "sir", "herr", "monsieur", "señor", "sr", "don"),
}
ENDINGS_JA = {FEMALE: "子美香奈菜花恵江代乃", MALE: "郎男夫雄太介輔平彦樹也"}
