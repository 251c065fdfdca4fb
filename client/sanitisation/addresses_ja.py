"""Japanese addresses: [〒] [prefecture] municipality, town, numbers, [building and room], with or without spaces.

A place without a number (東京都, 渋谷区) is no address: it names no house.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from renga.client.sanitisation.entities import Kind
from renga.client.sanitisation.found import Found
from renga.client.sanitisation.patterns import Pattern
from renga.client.sanitisation.scanning import Scanned, matches

PREFECTURES = [
    "北海道",
    "青森県",
    "岩手県",
    "宮城県",
    "秋田県",
    "山形県",
    "福島県",
    "茨城県",
    "栃木県",
    "群馬県",
    "埼玉県",
    "千葉県",
    "東京都",
    "神奈川県",
    "新潟県",
    "富山県",
    "石川県",
    "福井県",
    "山梨県",
    "長野県",
    "岐阜県",
    "静岡県",
    "愛知県",
    "三重県",
    "滋賀県",
    "京都府",
    "大阪府",
    "兵庫県",
    "奈良県",
    "和歌山県",
    "鳥取県",
    "島根県",
    "岡山県",
    "広島県",
    "山口県",
    "徳島県",
    "香川県",
    "愛媛県",
    "高知県",
    "福岡県",
    "佐賀県",
    "長崎県",
    "熊本県",
    "大分県",
    "宮崎県",
    "鹿児島県",
    "沖縄県",
]
_PREFECTURE = "(?:" + "|".join(PREFECTURES) + ")"
_KANA_CITY = r"(?:さいたま|つくば|いわき|ひたちなか|かすみがうら|つくばみらい|みどり|ふじみ野|いすみ|南アルプス|あわら|かほく|みよし|あま|いなべ|にかほ|むつ|つがる|えびの|いちき串木野|うるま|さぬき|東かがわ|うきは|みやま|みやこ|ときがわ|さつま|おおい|さくら|みなかみ|せたな)"
_K = r"[一-龥々ヶケヵ〆〇]"
_TOWN_CHAR = r"[一-龥々ヶケヵノ之のァ-ヴーぁ-んA-Z]"
_N = r"(?:[0-9]{1,5}|[一二三四五六七八九十百〇]{1,4})"
_DASH = r"(?:[ ]?(?:-|ー|－|の|ノ)[ ]?)"
_NUMBERS = (
    rf"(?:(?:第)?{_N}[ ]?丁目?(?:[ ]?{_N}[ ]?(?:番地?|{_DASH}{_N}(?:{_DASH}{_N})?(?:号)?))?(?:の?{_DASH}?[ ]?{_N}[ ]?号?)?(?:{_DASH}{_N})?"
    rf"|{_N}[ ]?番地?(?:[ ]?の?{_DASH}?{_N}(?:[ ]?号)?)?(?:{_DASH}{_N})?"
    rf"|{_N}(?:{_DASH}{_N}){{1,4}}(?:[ ]?(?:号室?|番地?))?"
    rf"|{_N}[ ]?号)"
)
_GAP = r"[ \t　]{0,2}(?:\r?\n[ \t>　]{0,4})?"
_BUILDING = (
    r"(?:[ 　、,]{0,2}(?:\r?\n[ \t　>]{0,4})?(?!TEL|Tel|tel|FAX|Fax|E-?mail|Mail|MAIL|電話|携帯|氏名|名前|連絡|メール|担当|様|宛|〒)"
    r"(?:(?:[一-龥々ヶァ-ヴー・A-Za-zぁ-ん&'’]|(?<=[A-Za-zァ-ヴー])[ ](?=[A-Za-zァ-ヴー])){2,24}(?:[ ]?(?:[0-9]{1,2}|[IVXⅠ-Ⅻ]{1,3}|第[一二三0-9]{1,2})?[ ]?(?:号館|番館|棟))?"
    r"[ 　\-]{0,2}(?:[A-Z]?-?[0-9]{1,5}[A-Z]?(?:[ ]?(?:号室|号|階|F|室))?|[A-Z]棟[0-9]{0,4})(?:[ 　\-]?[0-9]{1,4}(?:号室|号|室)?)?"
    r"|(?:[ァ-ヴー・A-Za-z一-龥ヶぁ-ん]|(?<=[A-Za-zァ-ヴー])[ ](?=[A-Za-zァ-ヴー])){1,18}(?:マンション|ハイツ|コーポ|ビル|ビルディング|荘|タワー|メゾン|レジデンス|アパート|ハウス|パレス|コート|シャトー|団地|寮|ヒルズ|プラザ|テラス|館|グランド|ガーデン|パーク)"
    r"|[0-9]{1,5}[ ]?(?:号室|号棟|階|F(?![A-Za-z])|室)|(?<=[ 　])[A-Z]?-?[0-9]{2,4}(?:号)?(?![0-9\-年月日人円時分個件:/.]))){1,3}"
)
_MUNICIPALITY = (
    rf"(?:{_KANA_CITY}市|(?:(?!市){_K}|[ァ-ヴー]){{1,6}}?市)(?:{_K}{{1,4}}?区)?"
    rf"|{_K}{{1,4}}?郡(?:{_KANA_CITY}|{_K}{{1,5}}?)[町村]|{_K}{{1,4}}区|(?:{_KANA_CITY}|{_K}{{1,5}}?)[町村]"
)
_POSTCODE = r"(?<![0-9\-])(?:〒[ ]?)?(?:[0-9]{3}-[0-9]{4}|(?<=〒)[0-9]{7}|(?<=〒 )[0-9]{7})(?![0-9])"
_FULL = Scanned(
    rf"(?:{_POSTCODE}{_GAP})?{_PREFECTURE}{_GAP}(?:(?:{_MUNICIPALITY}){_GAP}){{0,2}}{_TOWN_CHAR}{{0,14}}?{_GAP}{_NUMBERS}(?:{_BUILDING})?"
)
_WITHOUT = Scanned(
    rf"(?:{_POSTCODE}{_GAP})?(?:(?:{_MUNICIPALITY}){_GAP}){{1,2}}(?:みなとみらい|{_TOWN_CHAR}(?<![はがをでへと])){{0,12}}?{_GAP}{_NUMBERS}(?:{_BUILDING})?"
)
_POSTCODE_FIRST = Scanned(
    rf"{_POSTCODE}{_GAP}(?:{_PREFECTURE})?[^\n。、,\"'<>{{}}]{{2,30}}{_NUMBERS}(?:{_BUILDING})?"
)
_POSTCODE_ALONE = Scanned(
    r"〒[ ]?[0-9]{3}-?[0-9]{4}(?![0-9])|(?<=郵便番号)[はが:：\s]{0,3}[0-9]{3}-?[0-9]{4}(?![0-9])"
)
_LABELLED = Scanned(
    rf"(?:住所|現住所|所在地|届け先|お届け先|送付先|配送先|居住地|自宅|実家|勤務地|宛先)[はがを:：＝=\s\"']{{0,4}}({_TOWN_CHAR}{{1,16}}{_GAP}{_NUMBERS}(?:{_BUILDING})?)"
)
_LIVED_IN = Scanned(
    rf"(?<![一-龥々])({_K}{{1,6}}{_N}(?:{_DASH}{_N}){{1,3}}(?:{_BUILDING})?)(?=(?:に|へ)(?:住|引っ?越|お?届|送|お?伺|発送|配送|転居)|在住|まで(?:来|お?届|配達))"
)
_CHOME = Scanned(
    rf"(?:{_K}|[ァ-ヴー]){{1,8}}?{_GAP}(?:{_N}[ ]?丁目[ ]?{_N}[ ]?番地?[ ]?{_N}?[ ]?号?|{_N}[ ]?番地?[ ]?{_N}[ ]?号)(?:{_BUILDING})?"
)
_LEADING_LABEL = Pattern(
    r"^(?:現?住所|自宅|実家|勤務先|会社|本社|本籍地?|新居|引越先|私|当社|弊社|所在地|(?:は|の|が|に|を|で|と|、)+)(?=.{4})"
)
_YEARISH = Pattern(
    r"(?:町|村|市|区)[ ]?(?:[0-9]{1,5}|[一二三四五六七八九十百]{1,4})(?:人|円|年|月|日|世帯|件|校|万|%|歳|位|時|分|km|周年|つ|個|カ所|か所|箇所|社|店)"
)


def addresses_ja(text: str) -> Iterator[Found]:
    """Japanese addresses down to a number; `text` with full-width digits folded."""
    if not re.search(r"[一-龥]", text):
        return
    for pattern, certainty in ((_FULL, 0.92), (_WITHOUT, 0.88), (_POSTCODE_FIRST, 0.9), (_CHOME, 0.84)):
        for match in matches(pattern, text):
            if _YEARISH.search(match[0]):
                continue
            lead = _LEADING_LABEL.match(match[0])
            yield Found(match.start() + (lead.end() if lead else 0), match.end(), Kind.ADDRESS, certainty)
    for match in matches(_LABELLED, text):
        yield Found(*match.span(1), Kind.ADDRESS, 0.86)
    for match in matches(_LIVED_IN, text):
        yield Found(*match.span(1), Kind.ADDRESS, 0.84)
    for match in matches(_POSTCODE_ALONE, text):
        start = match.end() - len(match[0].lstrip("はが:： \t\n"))
        yield Found(start, match.end(), Kind.ADDRESS, 0.82)
