"""Names of persons in Japanese: MeCab's conditional random field (IPADIC), name lists, and what is said around.

The tagger says which words of a sentence are surnames and given names; honorifics, roles and labels say it
again; lists with readings join kanji, kana and romaji. The tagger is a statistical model that pip installs and
that reads a million characters in some two seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from renga.client.sanitisation.entities import Deadline, DetectionFailed, Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.lexicon import japanese, listed, public_figures
from renga.client.sanitisation.names_of_nobody_ja import is_nobody

_JAPANESE = re.compile(r"[一-龥ぁ-んァ-ヶ々]")
_CHUNK = 2000
_HONORIFIC = re.compile(
    r"[ 　]?(?:さん(?!ぽ|ぷん)|様|さま|氏|くん|君(?!が代|主|臨)|ちゃん|先生|殿|先輩|後輩|部長|課長|係長|社長|専務|常務|主任|教授|准教授|医師|看護師|弁護士|税理士|行政書士|司法書士|社会保険労務士|社労士|弁理士|公認会計士|会計士|建築士|薬剤師|歯科医|保健師|助産師|保育士|介護士|教諭|住職|神父|牧師|刑事|巡査|警部|検事|判事|秘書|理事長|理事|監査役|顧問|相談役|執行役員|支部長|組長|機長|船長|店長|支店長|室長|次長|本部長|会長|校長|園長|院長|議員|選手|容疑者|被告|夫妻|夫人|師長|CTO|CEO|CFO|COO|PM|マネージャー|リーダー|ディレクター|チーフ|代表|講師|研究員|博士|工場長|所長|局長|コーチ|監督|班長|担当|嬢|女史|両氏|家の|宅|宛|御中(?!)|拝)"
)
usual = str.maketrans("髙﨑𠮷邉邊德濵栁桒槗嶌", "高崎吉辺辺徳浜柳桑橋島")
"""Characters that registers of persons have and lists of names don't, as the lists write them."""
_NOT_NAMES = listed("before an honorific")
_ORG_TAIL = re.compile(
    r"(?:株式会社|製薬|銀行|商事|工業|電機|電気|自動車|証券|大学|高校|中学|小学校|病院|医院|クリニック|書店|商店|建設|製作所|産業|物産|不動産|生命|火災|食品|化学|製鉄|重工|海上|組|運輸|駅|県|市|区|町|村|郡|川|山|橋|通り|島|湾|半島|公園|神社|寺|城|空港|港|線|電鉄|鉄道|技研|グループ|ホールディングス|事務所|定理|賞|時代|幕府|方面|地方|支店|店(?!長)|校|国際|都|府|道(?![一-龥]))"
)
_PLACE_SURNAMES = listed("places that are surnames")
_LABEL = re.compile(
    r"(?:氏名|予約名|予約者|購入者|注文者|旅行者|搭乗者|お?名前|フルネーム|本名|担当者?|患者名?|名義人?|口座名義|振込人|依頼人|送り主|荷受人|差出人|宛名|宛先|受取人|申込者|申請者|契約者|代表者?|保護者|緊急連絡先|署名|記入者|作成者|報告者|連絡者|被保険者|会員名|顧客名|お客様名|利用者名|社員名|従業員名|学生名|応募者|候補者|面接官|上司|部下|同僚|友人|友達|彼氏|彼女|妻|夫|息子|娘|長男|長女|次男|次女|父|母|兄|姉|弟|妹|祖父|祖母|私の名前|姓名|姓|名|フリガナ|ふりがな|カナ|ローマ字|参加者|出席者|主治医|担当医|世帯主|入居者|大家|隣人|name)[（(]?[^\n（()）:：はがの]{0,6}[）)]?[\"']{0,2}[ \t　]{0,2}(?:は|が|の|:|：|=|＝|、|\||→|・)[ \t　]{0,2}[「『\"'\[【]{0,2}$",
    re.I,
)
_INTRODUCED = re.compile(
    r"[ 　]?(?:と申します|ともうします|と言います|といいます|です(?:が|。|、|！|けど|\s|$)|でございます|と名乗|という(?:人|者|方|男|女|名前|友人|同僚|子)|って(?:人|いう|子)|と結婚|と付き合|に(?:電話|連絡|メール|会|相談|聞|頼|渡|伝|送|依頼|確認|報告|話)|(?:から|より)(?:の)?(?:電話|連絡|メール|依頼|相談|返信|報告|申し出|聞|届|話)|が(?:言|話|担当|退職|休|来|対応|入院|転職|辞|送|作|書|欠席|出席|異動|提出|報告|入社|住|申)|は(?:今|昨|本日|明日|先週|現在|私の|弊社|来週|いつも|まだ|もう|昔)|の(?:電話|住所|連絡先|メール|携帯|自宅|誕生日|生年月日|給料|年収|パスワード|口座|カルテ|保険証|診断|件|息子|娘|妻|夫|母|父|上司|部下|履歴書|評価|携帯番号|電話番号|番号|アカウント|スケジュール|予定))"
)
_ROLE_BEFORE = re.compile(
    r"(?:部長|課長|係長|社長|主任|担当|営業|上司|同僚|部下|先輩|後輩|友人|友達|親友|妻|夫|息子|娘|長男|長女|次男|次女|兄|姉|弟|妹|父|母|祖父|祖母|叔父|叔母|彼氏|彼女|主治医|弁護士|秘書|責任者|代表取締役|取締役|人事部?|経理部?|総務部?|営業部|開発部|私は|僕は|俺は|わたしは|弊社の?|株式会社[^ 　\n、。]{1,12})(?:の|、|・|[ 　])?$"
)
_KATAKANA = re.compile(r"[ァ-ヴー]{2,10}(?:[・＝=][ァ-ヴー]{1,12}){1,3}")
_FOREIGN_ROLE = re.compile(
    r"(?:マネージャー|リーダー|オーナー|コーチ|ディレクター|エンジニア|デザイナー|講師|先生|留学生|患者|同室|隣人|隣|大家|店長|研究者|通訳|客|顧客|担任|運転手|社員|代理人|弁護士|医師|[国人])の$"
)
_FOREIGNER = re.compile(
    r"という[^。\n]{0,10}?(?:人|者|方|同僚|友人|友達|男性|女性|先生|学生|客|社員)|[がは][^。\n]{0,8}?(?:来日|帰国|引っ越|入社|退職|怒|言って|言った)|(?:に|と|から|を)(?:[^。\n]{0,9}?)(?:会|教え|説明|送|伝え|見せ|電話|メール|結婚|話|連絡|紹介|頼|返事|招待)"
)
_KANA_PAIR = re.compile(
    r"(?<![ァ-ヴー])([ァ-ヴー]{2,6})([ 　・]?)([ァ-ヴー]{2,6})(?![ァ-ヴー])|(?<![ァ-ヴー])([ァ-ヴー]{4,10})(?![ァ-ヴー])"
)
_HIRA_PAIR = re.compile(
    r"(?<![ぁ-んー一-龥ァ-ヴ])([ぁ-ん]{2,5})([ 　])([ぁ-ん]{2,6}?)(?=[^ぁ-んー一-龥]|$|の|です|と)|(?<=[（(「『\[:：])([ぁ-ん]{3,10})(?=[）)」』\]])|(?<![ぁ-んー])([ぁ-ん]{2,9}?)(?=さん|様|くん|ちゃん)|(?<![ぁ-んー一-龥])([ぁ-ん]{5,9}?)(?=です|と申し|といい|と言い|の(?:漢字|電話|住所|名前|件|連絡))"
)
_KATA_HONOURED = re.compile(r"(?<![ァ-ヴー])([ァ-ヴー]{2,8})(?=さん|様|氏|くん|君|ちゃん|先生)")
_HIRAGANA_KIN = listed("hiragana kin")
_HIRAGANA_WORDS = listed("hiragana names that are words")
_NOT_KATAKANA = listed("katakana roles")


_CALLED = re.compile(r"さん(?!ぽ)|ちゃん|くん|君|様")


class _Word(NamedTuple):
    start: int
    end: int
    surface: str
    what: str
    """姓, 名, 人 (a whole name), 地 (a place), 組 (an organisation), 名詞, or nothing of these."""


@lru_cache(maxsize=1)
def _tagger() -> Any:
    try:
        import fugashi
        import ipadic
    except ImportError:
        raise DetectionFailed(
            "Japanese names can't be looked for: fugashi or ipadic is missing; nothing was sent",
            hint="pip install 'renga[sanitise]'",
        ) from None
    return fugashi.GenericTagger(ipadic.MECAB_ARGS)


_WHAT = {"姓": "姓", "名": "名", "一般": "人"}


def tagged(text: str, start: int) -> list[_Word]:
    """MeCab's words of a piece of text that stands at `start`."""
    found, at = [], 0
    plain = text.replace("\0", " ").encode("utf-8", "replace").decode()
    for node in _tagger()(plain):
        at = plain.find(node.surface, at)
        feature = node.feature
        if feature[:2] == ("名詞", "固有名詞"):
            what = (
                _WHAT.get(feature[3], "人")
                if feature[2] == "人名"
                else {"地域": "地", "組織": "組"}.get(feature[2], "名詞")
            )
        else:
            what = (
                "名詞"
                if feature[0] == "名詞" and feature[1] not in ("接尾", "数", "代名詞", "非自立")
                else ""
            )
        found.append(_Word(start + at, start + at + len(node.surface), node.surface, what))
        at += len(node.surface)
    return found


def japanese_names(text: str, deadline: Deadline) -> Iterator[Found]:
    """Persons in a reading of the text."""
    text = text.translate(usual)
    return (one for one in _all_names(text, deadline) if not is_nobody(text, one.start, one.end))


def _all_names(text: str, deadline: Deadline) -> Iterator[Found]:
    if not _JAPANESE.search(text):
        return
    for start, end in _chunks(text):
        deadline.check()
        if _JAPANESE.search(text, start, end):
            yield from _in_words(text, tagged(text[start:end], start))
    yield from _by_honorific(text)
    yield from _in_kana(text)
    yield from _given_alone(text)


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Pieces that end with a line or a sentence where they can."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _CHUNK)
        if end < len(text):
            cut = max(text.rfind(mark, start + 1, end) for mark in "\n。！？ ")
            end = cut + 1 if cut > start else end
        yield start, end
        start = end


def _in_words(text: str, tagged: list[_Word]) -> Iterator[Found]:
    lists = japanese()
    at = 0
    while at < len(tagged):
        word = tagged[at]
        is_surname = (word.what == "姓" or word.surface in lists.surnames) and re.fullmatch(
            r"[一-龥々ヶノ]{1,4}", word.surface
        ) is not None
        if is_surname:
            end, given = _given_after(text, tagged, at)
            certainty = _surname_certainty(text, word, end, given)
            if certainty:
                yield Found(word.start, end, Kind.PERSON, certainty)
                while at < len(tagged) and tagged[at].start < end:
                    at += 1
                continue
        elif word.what in ("名", "人") and re.search(r"[一-龥]", word.surface):
            before, after = text[max(0, word.start - 24) : word.start], text[word.end : word.end + 16]
            helped = (
                _HONORIFIC.match(after)
                or _LABEL.search(before)
                or _ROLE_BEFORE.search(before)
                or _INTRODUCED.match(after)
            )
            if (
                (
                    (helped and (len(word.surface) > 1 or word.surface in lists.given))
                    or (word.what == "人" and len(word.surface) > 3)
                )
                and word.surface not in _NOT_NAMES
                and not _is_public(word.surface)
            ):
                if not re.search(r"[一-龥々]$", before) or word.what == "人":
                    yield Found(word.start, word.end, Kind.PERSON, 0.66)
        elif (
            word.what == "名"
            and len(word.surface) > 1
            and re.fullmatch(r"[ぁ-ん]+", word.surface)
            and _CALLED.match(text, word.end)
            and word.surface not in _HIRAGANA_KIN
        ):
            yield Found(word.start, word.end, Kind.PERSON, 0.66)
        at += 1


def _given_after(text: str, tagged: list[_Word], at: int) -> tuple[int, bool]:
    """Where the name that begins with the surname at `at` ends, and whether a given name was found."""
    lists = japanese()
    end = tagged[at].end
    if _HONORIFIC.match(text, end):
        return end, False
    start = end + (text[end : end + 1] in (" ", "　"))
    for size in range(4, 0, -1):
        piece = text[start : start + size]
        if len(piece) < size or not re.fullmatch(r"[一-龥々ぁ-んァ-ヴーノヶ]+", piece):
            continue
        if piece in lists.given or (
            re.fullmatch(r"[ぁ-ん]+", piece)
            and size > 1
            and piece in lists.given_kana
            and (start > end or size > 2 or _HONORIFIC.match(text, start + size))
        ):
            if (
                start == end
                and not _HONORIFIC.match(text, start + size)
                and (tail := _ORG_TAIL.match(text, start))
            ):
                if tail.end() >= start + size:
                    continue  # a castle, a station, an age
            follow = text[start + size : start + size + 6]
            bounded = not re.match(r"[一-龥々]", follow) or _HONORIFIC.match(follow) is not None
            if (
                bounded
                and (size > 1 or start > end or _HONORIFIC.match(follow) or _boundary(follow))
                and piece not in ("様", "氏", "君", "殿", "家", "宅")
            ):
                return start + size, True
    following = [w for w in tagged[at + 1 : at + 5] if w.start >= start]
    if following and following[0].start == start:
        stop, size = start, 0
        for word in following[:3]:
            if (
                word.start != stop
                or not re.fullmatch(r"[一-龥々]{1,3}|[ぁ-ん]{2,4}", word.surface)
                or (word.what == "" and not re.fullmatch(r"[一-龥々]{1,2}", word.surface))
            ):
                break
            if word.what in ("名", "姓") or (
                size == 0 and start > end and word.what == "名詞" and len(word.surface) <= 3
            ):
                stop, size = word.end, size + 1
            else:
                break
        if size and (following[size - 1].what == "名" or start > end) and not _ORG_TAIL.match(text, stop):
            return stop, True
    return end, False


def _boundary(follow: str) -> bool:
    return (
        not follow
        or re.match(r"[ \t　\n、。,.（()）「」:：;|/\"'<>→⇒・はがのをにとでへもやか]", follow) is not None
    )


_ABOUT_NAMES = re.compile("[苗名]字")
_OF_A_PLACE = re.compile(
    rf"(?:{'|'.join(sorted(_PLACE_SURNAMES))}|[一-龥]{{2,3}}[県市府都]|東京|大阪|京都|北海道)(?:県|市)?の$"
)
_SPECIMENS = ("山田太郎", "山田 太郎", "山田花子", "山田 花子", "鈴木一郎")
_SPECIMEN_TALK = re.compile(r"記入例|見本|例として|ダミー|サンプル|架空|仮名")


@lru_cache(maxsize=4)
def _about_names(text: str) -> bool:
    """Does the text speak of surnames as such? Asked for every surname, read once."""
    return _ABOUT_NAMES.search(text) is not None


def _surname_certainty(text: str, word: _Word, end: int, given: bool) -> float:
    surface = text[word.start : end]
    if surface in _SPECIMENS and _SPECIMEN_TALK.search(text):
        return 0.0
    before, after = text[max(0, word.start - 24) : word.start], text[end : end + 16]
    if _is_public(surface.replace(" ", "").replace("　", "")) or surface in _NOT_NAMES:
        return 0.0
    honoured = _HONORIFIC.match(after) is not None
    labelled = _LABEL.search(before) is not None
    glued = re.search(r"[一-龥々]$", before) is not None and _ROLE_BEFORE.search(before) is None
    if given:
        if glued and not honoured and not labelled:
            return 0.0 if word.surface in _PLACE_SURNAMES else 0.6
        return 0.8
    if _ORG_TAIL.match(after) or (re.match(r"[一-龥々]", after) and not honoured):
        return 0.0
    if honoured and not (glued and word.what != "姓"):
        return 0.78 if not _about_names(text) else 0.0
    if (
        labelled
        or (_INTRODUCED.match(after) and word.surface not in _PLACE_SURNAMES)
        or _ROLE_BEFORE.search(before)
    ):
        return 0.7 if word.surface not in _PLACE_SURNAMES or labelled else 0.55
    if word.surface in _PLACE_SURNAMES or len(word.surface) < 2 or glued or _about_names(text):
        return 0.0
    if _OF_A_PLACE.search(before):
        return 0.0
    return (
        0.6
        if word.what == "姓"
        and word.surface in japanese().surnames
        and _boundary(after)
        and not re.match(r"[（(]?(?:県|市|駅|区)", after)
        else 0.0
    )


_HONOURED = re.compile(
    r"(?<![一-龥々])([一-龥々ヶ]{1,4}[ 　]?[一-龥々ぁ-んァ-ヴ]{0,4}?)[ 　]?(?=様(?![子々式相態])|さん(?!ぽ)|氏(?![名族神])|殿|くん|ちゃん)"
)


def _by_honorific(text: str) -> Iterator[Found]:
    """Kanji runs before an honorific, of names that no list has."""
    for match in _HONOURED.finditer(text):
        name = match[1].strip()
        core = name.replace(" ", "").replace("　", "")
        if (
            not 2 <= len(core) <= 6
            or "様" in core
            or core in _NOT_NAMES
            or _is_public(core)
            or re.search(r"[ぁ-ん]", core)
        ):
            continue
        if " " in name or "　" in name:
            if re.split(r"[ 　]", name)[0] not in japanese().surnames:
                continue
        if match[1] == core and any(core[-n:] in japanese().surnames for n in (2, 3) if n < len(core)):
            continue  # a word and a surname, which the tagger tells apart
        if any(core.endswith(word) for word in _NOT_NAMES if len(word) > 1) or re.search(
            r"(?:者|員|客|師|屋|業|社|長|人|方|店|部|課|科|生|会|院|所|局|官|手|主|母|父|親|嬢|医|士)$", core
        ):
            continue
        yield Found(match.start(1), match.start(1) + len(name), Kind.PERSON, 0.64)
    for match in _KIN_GIVEN.finditer(text):
        name = match[1]
        if name in japanese().given or (
            len(name) > 1 and hiragana(name) in japanese().given_kana and not re.match(r"[ぁ-ん]", name)
        ):
            if name not in _NOT_NAMES:
                yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in _AGED.finditer(text):
        name = match[1]
        lists = japanese()
        if (
            (name in lists.given or name in lists.surnames or hiragana(name) in lists.given_kana)
            and name not in _NOT_NAMES
            and not _is_public(name)
        ):
            yield Found(*match.span(1), Kind.PERSON, 0.62)
    for match in _ONE_KANJI.finditer(text):
        known = match[0] in japanese().given or match[0] in japanese().surnames
        if known and match[0] not in _NOT_NAMES:
            yield Found(*match.span(), Kind.PERSON, 0.6)


_KIN_GIVEN = re.compile(
    r"(?:妻|夫|嫁|旦那|息子|娘|長男|次男|三男|長女|次女|三女|兄|姉|弟|妹|甥|姪|孫|彼氏|彼女|恋人|友人|友達|親友|同僚|部下|上司|先輩|後輩|担任|母|父|祖母|祖父|叔父|叔母|伯父|伯母|義母|義父|義兄|義姉|義妹|義弟|ひ孫|ママ友|幼なじみ|元カレ|元カノ|主人(?!公)|家内|いとこ|従兄弟|幼馴染|ルームメイト|相方|婚約者)(?:の|、|である|は)?([一-龥々]{1,4}?|[ぁ-ん]{2,4}?|[ァ-ヴー]{2,5}?)(?=[、。のはがとにをもへ（(さちくで]|と(?:は|の)|$)"
)
_AGED = re.compile(
    r"(?<![一-龥々])([一-龥々]{1,4}|[ァ-ヴー]{2,6}|[ぁ-ん]{2,5})[、,（( 　]{1,2}[0-9]{1,3}[歳才]"
)
_ONE_KANJI = re.compile(
    r"(?<![一-龥々ぁ-んァ-ヴ])([一-龥])(?=ちゃん|くん|君|さん(?!ぽ)|様(?![子々式相態])|先生)|(?<=[。、はがもとの])([一-龥])(?=ちゃん|くん)"
)


_GIVEN_ALONE = re.compile(
    r"(?<![一-龥々ァ-ヴー])([一-龥々]{2,3}|[ァ-ヴー]{2,4})(?=って(?:呼|いう|言う|名前|人|子|友|いい|言い|上司|先輩|後輩|部長|店長|奴|やつ|男|女)|という(?:名前|子|人|友|彼|息子|娘)|から(?:既読|返信|返事|連絡|LINE|ライン|電話|告白|メール|聞い|もらっ|借り)|に(?:振られ|フラれ|告白|嫌われ|返信|謝|言われ|怒られ|貸し|借り|プレゼント|渡し)"
    r"|と(?:別れ|喧嘩|ケンカ|付き合|結婚|離婚|デート|遊|仲直り|話し|飲み)|が(?:怒|泣|入院|退院|退職|好き|浮気|言っ|言い|寝|結婚|妊娠|引っ越|辞め|風邪|熱を|来な|返事|無視)|は(?:怒|優し|私の|僕の|俺の|まだ返|既読|浮気|私に|僕に)|の(?:誕生日|彼氏|彼女|浮気|両親|実家|電話番号|LINE|連絡先|機嫌|気持ち))"
    r"|(?:^|\n)[ 　]{0,4}([一-龥々]{1,4}|[ァ-ヴー]{2,6})(?=「)"
    r"|(?:(?:下の)?名前は|名前が|名は|名前：|名前:|(?:妻|夫|嫁|旦那|息子|娘|長男|次男|長女|次女|兄|姉|弟|妹|彼氏|彼女|友人|友達|同僚|孫|姪|甥|母|父|祖母|祖父)[（(「])([一-龥々]{1,3}|[ァ-ヴー]{2,4}|[ぁ-ん]{2,4})(?=です|だ|。|、|・|[）)」\n]|$)"
)
_LINE_OF_ONE = re.compile(r"^[>＞ 　]{0,6}([一-龥々]{1,4})(?:(です[。、])|[ 　]{0,2}$)", re.M)
"""A line that says who writes: `堀です。` or the name alone, below a letter."""
_NO_GIVEN = listed("no given names")
_ALSO = re.compile(
    r"(?:と|、|・|や|＆|&|および|及び)([一-龥々]{1,3})(?=と|、|の|が|は|に|を|も|で|へ|。|$|\n)"
)


def _given_alone(text: str) -> Iterator[Found]:
    """Given names with nothing but a sentence that only a person fits; and whom a list goes on with."""
    lists = japanese()
    for match in _GIVEN_ALONE.finditer(text):
        group = match.lastindex or 1
        name = match[group]
        known = name in lists.given or name in lists.surnames or hiragana(name) in lists.given_kana
        if (
            not known
            or name in _NO_GIVEN
            or name in _NOT_NAMES
            or name in _PLACE_SURNAMES
            or _is_public(name)
        ):
            continue
        yield Found(*match.span(group), Kind.PERSON, 0.6)
        yield from _others(text, match.end(group))
    for match in _LINE_OF_ONE.finditer(text):
        if (
            match[1] in lists.surnames
            and (match[2] or match[1] not in _PLACE_SURNAMES)
            and not _is_public(match[1])
        ):
            yield Found(*match.span(1), Kind.PERSON, 0.6)
    for match in _KIN_GIVEN.finditer(text):
        yield from _others(text, match.end(1))


def _others(text: str, end: int) -> Iterator[Found]:
    """Given names that follow one that ended at `end`, in a list."""
    given = japanese().given
    while (also := _ALSO.match(text, end)) is not None and also[1] in given and also[1] not in _NO_GIVEN:
        yield Found(*also.span(1), Kind.PERSON, 0.58)
        end = also.end(1)


def _in_kana(text: str) -> Iterator[Found]:
    lists = japanese()
    for match in _KANA_PAIR.finditer(text):
        first, last, whole = (hiragana(match[i] or "") for i in (1, 3, 4))
        spaced = bool(match[2])
        labelled = _LABEL.search(text[max(0, match.start() - 24) : match.start()]) is not None or text[
            match.start() - 1 : match.start()
        ] in tuple("（(")
        honoured = _HONORIFIC.match(text, match.end()) is not None
        known = (first in lists.surname_kana, last in lists.given_kana)
        if spaced and (
            (known[0] and (known[1] or labelled)) or ((honoured or labelled) and (known[1] or known[0]))
        ):
            yield Found(*match.span(), Kind.PERSON, 0.76)
        elif labelled and ((first + last) or whole) in lists.surname_kana | lists.given_kana:
            yield Found(*match.span(), Kind.PERSON, 0.7)
        elif not spaced and _splits((first + last) or whole) and (labelled or len(first + last + whole) >= 5):
            yield Found(*match.span(), Kind.PERSON, 0.72)
    for match in _HIRA_PAIR.finditer(text):
        whole = match[4] or match[5] or match[6]
        if (match[2] and match[1] in lists.surname_kana and match[3] in lists.given_kana) or (
            whole
            and whole not in _HIRAGANA_WORDS
            and (
                _splits(whole)
                or (
                    text[match.start() - 1 : match.start()] not in ("「", "『")
                    and len(whole) > 1 + (match[5] is None)
                    and whole not in _HIRAGANA_KIN
                    and (whole in lists.surname_kana or whole in lists.given_kana)
                )
            )
        ):
            yield Found(match.start(), match.end(), Kind.PERSON, 0.72)
    for match in _KATAKANA.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        after = text[match.end() : match.end() + 16]
        if not _is_public(match[0]) and (
            _HONORIFIC.match(after)
            or _LABEL.search(before)
            or _INTRODUCED.match(after)
            or _ROLE_BEFORE.search(before)
            or _FOREIGN_ROLE.search(before)
            or _FOREIGNER.match(after)
        ):
            yield Found(*match.span(), Kind.PERSON, 0.72)
    for match in _KATA_HONOURED.finditer(text):
        if match[1] not in _NOT_KATAKANA and not _is_public(match[1]) and not match[1].endswith("ー"):
            yield Found(*match.span(1), Kind.PERSON, 0.62)


def _splits(kana: str) -> bool:
    """Is the hiragana a surname followed by a given name?"""
    lists = japanese()
    return any(
        kana[:at] in lists.surname_kana and kana[at:] in lists.given_kana for at in range(2, len(kana) - 1)
    )


def hiragana(kana: str) -> str:
    """Katakana as hiragana."""
    return "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in kana)


def _is_public(name: str) -> bool:
    full, single = public_figures()
    return name in full or name in single
