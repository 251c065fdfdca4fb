"""The same in Japanese: who is asked about as everybody knows them, and who is made up for a story.

What a sentence says of a book, a team or an age frees a name in it, unless the text speaks of its writer, or
somebody's telephone, or honours the name as one does with people one meets.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 1000
_OWN = re.compile(
    r"私|僕|俺|自分|弊社|当社|うち|我が家|わが家|お世話|担当|電話|携帯|住所|メール|患者|お客|顧客|社員|同僚|上司|部下|友人|友達|部員|町内会|うちの|保護者|[0-9]{6}|@|〒"
)
_TRADE_BEFORE = re.compile(
    r"(?:選手|名人|棋士|将棋|武将|大名|総理|首相|大統領|作家|文豪|歌人|俳人|俳優|女優|歌手|画家|漫画家|映画監督|アニメ|漫画|小説家|発明家|偉人|皇帝|天皇|刃|巨人)(?:の|、|・)?$"
)
_KNOWN_FOR = re.compile(
    r"選手|名人|(?:と[一-龥ァ-ヴー・]{2,8})?(?:は|が|の|って|、|と)[^。\n]{0,16}?(?:小説|短歌|俳句|映画|漫画|アニメ|ドラマ|作品|名言|功績|業績|生涯|半生|強さ|妹の名前|どんな人|誰(?:です|だ|？)|なぜ有名|人気が|元寇|合戦|戦い|幕府|維新|将軍|摂関|政治|[一-龥]{2,3}の[乱変]|時代|ノーベル|受賞|優勝|オリンピック|五輪|甲子園|プロ野球|メジャー|違いは)"
)
_STORY = re.compile(
    r"(?:小説|物語|童話|昔話|脚本|(?<!司会の)(?<!進行の)(?<!会の)台本|短編|ラノベ|ストーリー|二次創作|寓話|落語|コント|漫才|ポエム|なぞなぞ|文章題)[^。\n]{0,16}(?:書|作|続|考え|描|教え|冒頭|結末)|名前の(?:由来|意味|例|候補|読み方|案)|名付け|命名|名前として|主人公|ヒロイン|勇者|魔王|むかしむかし|昔々"
)
_MET = re.compile(r"[ 　]?(?:様|さま|殿|さん|くん|ちゃん)")


@lru_cache(maxsize=4)
def _about(text: str) -> tuple[bool, bool]:
    """Does the text say nothing of its writer; does it ask for a story?"""
    if len(text) > _LONGEST or _OWN.search(text):
        return False, False
    return True, _STORY.search(text) is not None


def is_nobody(text: str, start: int, end: int) -> bool:
    """Is the name at text[start:end] a known or an invented person's?"""
    public, story = _about(text)
    if story or not public or _MET.match(text, end):
        return story
    return (
        _KNOWN_FOR.match(text, end) is not None
        or _TRADE_BEFORE.search(text, max(0, start - 8), start) is not None
    )
